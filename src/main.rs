//! The program: parse, run, print, exit status. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    rsqoop::cli::main()
}
