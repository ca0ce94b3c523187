//! Standard error: notes, warnings and errors, in one form, never across a progress bar.

use std::io::Write;
use std::process::ExitCode;
use std::sync::{Mutex, OnceLock, PoisonError};

use clap::Args;
use indicatif::MultiProgress;
use rsqoop_connector::{Error, ErrorKind};

use crate::run::control::Event;

/// Lines an error message may have (promise P20).
const ERROR_LINES_MAX: usize = 20;

/// Characters a line of it may have: a statement of some length, not a megabyte from a server.
const ERROR_LINE_CHARS_MAX: usize = 2000;

#[derive(Debug, Args, Clone)]
#[command(next_help_heading = "Messages")]
pub(super) struct OutputArgs {
    /// Say more: the statements, the snapshot, causes of errors
    #[arg(long, conflicts_with = "quiet")]
    pub(super) verbose: bool,
    /// Say nothing but warnings and errors
    #[arg(long)]
    pub(super) quiet: bool,
}

/// Where the first panic of the process happened.
static PANIC_PLACE: OnceLock<String> = OnceLock::new();

/// Panic hook: keeps the place for the message instead of printing a back trace.
pub(super) fn remember_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map_or_else(|| "unknown".to_string(), ToString::to_string);
    let _ = PANIC_PLACE.set(place);
}

/// Where messages go.
pub(super) struct Console {
    verbose: bool,
    quiet: bool,
    bars: Mutex<Option<MultiProgress>>,
}

impl Console {
    /// A console as the flags ask for.
    pub(super) fn new(args: &OutputArgs) -> Self {
        Console { verbose: args.verbose, quiet: args.quiet, bars: Mutex::new(None) }
    }

    /// A console for errors that happen before flags are known.
    pub(super) fn plain() -> Self {
        Console { verbose: false, quiet: false, bars: Mutex::new(None) }
    }

    /// Lines are written above these bars from now on.
    pub(super) fn draw_above(&self, bars: Option<MultiProgress>) {
        *self.bars.lock().unwrap_or_else(PoisonError::into_inner) = bars;
    }

    /// A line of text, unless `--quiet`.
    pub(super) fn info(&self, text: &str) {
        if !self.quiet {
            self.line(text);
        }
    }

    pub(super) fn warn(&self, text: &str) {
        self.line(&format!("warning: {text}"));
    }

    pub(super) fn event(&self, event: &Event) {
        match event {
            Event::Note(text) if !self.quiet => self.line(&format!("note: {text}")),
            Event::Warning(text) => self.warn(text),
            Event::Detail(text) if self.verbose => self.line(text),
            Event::Note(_) | Event::Detail(_) => {}
        }
    }

    /// Prints an error and gives its exit status.
    pub(super) fn fail(&self, error: &Error, verbose: bool) -> ExitCode {
        for line in error_lines(error, verbose || self.verbose) {
            self.line(&line);
        }
        ExitCode::from(crate::exit_status(error.kind()))
    }

    fn line(&self, text: &str) {
        let bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        let write = || {
            // A closed standard error is nobody's failure.
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        };
        match &*bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

/// What happened, where, what to do.
fn error_lines(error: &Error, verbose: bool) -> Vec<String> {
    let mut lines = vec![format!("error: {}", error.message())];
    for (key, value) in error.contexts() {
        lines.push(format!("  {key}: {value}"));
    }
    if let (ErrorKind::Bug, Some(place)) = (error.kind(), PANIC_PLACE.get()) {
        lines.push(format!("  at: {place}"));
    }
    if let Some(hint) = error.hint_text() {
        lines.push(format!("  hint: {hint}"));
    }
    if verbose || error.kind() == ErrorKind::Bug {
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            lines.push(format!("  cause: {cause}"));
            source = cause.source();
        }
    }
    // A driver's message may have line ends of its own.
    let mut lines: Vec<String> =
        lines.iter().flat_map(|l| l.lines().map(shortened).collect::<Vec<_>>()).collect();
    lines.truncate(ERROR_LINES_MAX);
    lines
}

/// A line without the rest of what a server or a flag made too long to read.
fn shortened(line: &str) -> String {
    match line.char_indices().nth(ERROR_LINE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_where_and_what_to_do_in_few_lines() {
        let error = Error::new(ErrorKind::Usage, "there is no table \"x\"")
            .context("database", "shop")
            .hint("did you mean y?");
        assert_eq!(
            error_lines(&error, false),
            ["error: there is no table \"x\"", "  database: shop", "  hint: did you mean y?"]
        );
        let long = Error::new(ErrorKind::Source, "a\n".repeat(100));
        assert_eq!(error_lines(&long, false).len(), ERROR_LINES_MAX);
        let wide = Error::new(ErrorKind::Source, "ä".repeat(10_000));
        assert_eq!(error_lines(&wide, false)[0].chars().count(), ERROR_LINE_CHARS_MAX + 1);
    }
}
