//! The program: parse, run, print, exit status. Everything else is in the library.

use std::process::ExitCode;

// Encoding frees and allocates large buffers from many threads, where the system's allocator
// keeps them apart per thread and memory grows with the number of workers.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    rsqoop::cli::main()
}
