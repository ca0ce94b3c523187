//! Progress for people on a terminal, for logs, and for machines; always on standard error.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use super::console::Console;
use crate::RunControl;
use crate::run::control::{Phase, Progress};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressMode {
    /// Bars on a terminal, lines elsewhere
    Auto,
    /// One line a worker and a total, redrawn
    Bar,
    /// A line every five seconds
    Lines,
    /// A JSON object a line, every second and at the end
    Json,
    /// Nothing
    None,
}

const BAR_INTERVAL: Duration = Duration::from_millis(100);
const LINE_INTERVAL: Duration = Duration::from_secs(5);
const JSON_INTERVAL: Duration = Duration::from_secs(1);

/// Shows progress until it is finished or dropped.
pub(super) struct Display {
    stop: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Display {
    /// Ends the display; a last line of JSON is still written.
    pub(super) fn finish(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some((sender, thread)) = self.stop.take() {
            drop(sender);
            let _ = thread.join();
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts showing a run's progress on a thread of its own.
pub(super) fn show(mode: ProgressMode, control: Arc<RunControl>, console: Arc<Console>) -> Display {
    let mode = match mode {
        ProgressMode::Auto if std::io::IsTerminal::is_terminal(&std::io::stderr()) => {
            ProgressMode::Bar
        }
        ProgressMode::Auto => ProgressMode::Lines,
        other => other,
    };
    if mode == ProgressMode::None {
        return Display { stop: None };
    }
    let (sender, receiver) = channel::<()>();
    let thread = std::thread::spawn(move || {
        let mut bars = (mode == ProgressMode::Bar).then(|| Bars::new(&console));
        let interval = match mode {
            ProgressMode::Bar => BAR_INTERVAL,
            ProgressMode::Json => JSON_INTERVAL,
            _ => LINE_INTERVAL,
        };
        while receiver.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            let progress = control.progress();
            match (&mut bars, mode) {
                (Some(bars), _) => bars.draw(&progress),
                (None, ProgressMode::Json) => console.info(&json_line(&progress)),
                (None, _) => console.info(&text_line(&progress)),
            }
        }
        if let Some(bars) = bars {
            bars.clear(&console);
        }
        if mode == ProgressMode::Json {
            console.info(&json_line(&control.progress()));
        }
    });
    Display { stop: Some((sender, thread)) }
}

struct Bars {
    multi: MultiProgress,
    workers: Vec<ProgressBar>,
    total: ProgressBar,
}

impl Bars {
    fn new(console: &Console) -> Self {
        let multi = MultiProgress::new();
        console.draw_above(Some(multi.clone()));
        let total = multi.add(ProgressBar::new(1));
        Bars { multi, workers: Vec::new(), total }
    }

    fn draw(&mut self, progress: &Progress) {
        let height = console_height();
        if self.workers.is_empty()
            && !progress.workers.is_empty()
            && progress.workers.len() + 2 < height
        {
            let style = ProgressStyle::with_template("{msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            for index in 0..progress.workers.len() {
                let bar = ProgressBar::new_spinner().with_style(style.clone());
                self.workers.push(self.multi.insert(index, bar));
            }
        }
        for (index, (bar, worker)) in self.workers.iter().zip(&progress.workers).enumerate() {
            let state = if worker.idle { "done" } else { "reading" };
            bar.set_message(format!(
                "worker {index:<3} {:>15} rows {:>10}   split {:<4} {state}",
                grouped(worker.rows),
                size(worker.bytes),
                worker.splits + usize::from(!worker.idle),
            ));
        }
        let fraction = fraction_done(progress);
        let template = match fraction {
            Some(_) => "total      {bar:24} {percent:>3}%  {msg}",
            None => "total      {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.total.set_style(style.progress_chars("=> "));
        }
        self.total.set_length(1000);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
        self.total.set_position((fraction.unwrap_or(0.0) * 1000.0) as u64);
        self.total.set_message(total_text(progress));
    }

    fn clear(&self, console: &Console) {
        console.draw_above(None);
        for bar in &self.workers {
            bar.finish_and_clear();
        }
        self.total.finish_and_clear();
        let _ = self.multi.clear();
    }
}

/// Lines of the terminal; 24 where it does not say.
fn console_height() -> usize {
    usize::from(indicatif_height().unwrap_or(24))
}

fn indicatif_height() -> Option<u16> {
    rustix::termios::tcgetwinsize(std::io::stderr()).ok().map(|s| s.ws_row).filter(|r| *r > 0)
}

fn total_text(progress: &Progress) -> String {
    if progress.phase != Phase::Reading {
        return progress.phase.name().to_string();
    }
    let left = match seconds_left(progress) {
        Some(seconds) => format!(", {} left", duration(seconds)),
        None => String::new(),
    };
    format!(
        "{} rows, {}, {} rows/s{left}",
        grouped(progress.rows),
        size(progress.bytes),
        rate(rows_per_second(progress)),
    )
}

fn text_line(progress: &Progress) -> String {
    let busy = progress.workers.iter().filter(|w| !w.idle).count();
    let done = match fraction_done(progress) {
        Some(fraction) if progress.phase == Phase::Reading => {
            format!(", {:.0} %", fraction * 100.0)
        }
        _ => String::new(),
    };
    let workers = match progress.phase {
        Phase::Reading => format!(", {busy} of {} workers busy", progress.workers.len()),
        _ => String::new(),
    };
    format!("{}{done}{workers}", total_text(progress))
}

fn json_line(progress: &Progress) -> String {
    let workers: Vec<_> = progress
        .workers
        .iter()
        .map(|w| json!({"rows": w.rows, "bytes": w.bytes, "splits": w.splits, "idle": w.idle}))
        .collect();
    json!({
        "event": "progress",
        "phase": progress.phase.name(),
        "seconds": (progress.seconds * 1000.0).round() / 1000.0,
        "rows": progress.rows,
        "bytes": progress.bytes,
        "rows_per_second": rows_per_second(progress).round(),
        "estimated_rows": progress.estimated_rows,
        "seconds_left": seconds_left(progress).map(f64::round),
        "splits_done": progress.splits_done,
        "splits": progress.splits,
        "workers": workers,
    })
    .to_string()
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rows_per_second(progress: &Progress) -> f64 {
    progress.rows as f64 / progress.seconds.max(0.001)
}

/// By the server's estimate of the rows, or by finished splits where these say more: the estimate is
/// of the whole table, `--where` or not. Below 1 while rows still come.
#[expect(clippy::cast_precision_loss, reason = "a fraction for people")]
fn fraction_done(progress: &Progress) -> Option<f64> {
    if progress.phase as u8 > Phase::Reading as u8 {
        return Some(1.0);
    }
    let of = |done: f64, all: f64| (done / all).min(0.99);
    let rows = progress.estimated_rows.filter(|rows| *rows > 0);
    let by_rows = rows.map(|rows| of(progress.rows as f64, rows as f64));
    let by_splits =
        (progress.splits > 1).then(|| of(progress.splits_done as f64, progress.splits as f64));
    // A missing number counts for less than any other.
    if by_rows > by_splits { by_rows } else { by_splits }
}

fn seconds_left(progress: &Progress) -> Option<f64> {
    let fraction = fraction_done(progress)?;
    (fraction > 0.0 && fraction < 0.99).then(|| progress.seconds * (1.0 - fraction) / fraction)
}

/// `1234567` → `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes in decimal units.
pub(super) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    size_f(bytes as f64)
}

/// As [`size`], for rates.
pub(super) fn size_f(bytes: f64) -> String {
    let mut value = bytes;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "bytes" {
                format!("{value:.0} {unit}")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// A rate without false precision.
pub(super) fn rate(per_second: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates are positive"
    )]
    grouped(per_second.round() as u64)
}

fn duration(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(size(999), "999 bytes");
        assert_eq!(size(1_500_000), "1.5 MB");
        assert_eq!(duration(59.2), "59 s");
        assert_eq!(duration(3725.0), "1 h 02 min");
    }

    #[test]
    fn the_fraction_never_reaches_one_while_rows_come() {
        let mut progress = Progress {
            phase: Phase::Reading,
            rows: 500,
            bytes: 0,
            estimated_rows: Some(100),
            splits_done: 0,
            splits: 1,
            workers: Vec::new(),
            seconds: 1.0,
        };
        assert!(fraction_done(&progress).unwrap() < 1.0);
        progress.estimated_rows = None;
        assert_eq!(fraction_done(&progress), None);
        progress.splits = 4;
        progress.splits_done = 1;
        assert_eq!(seconds_left(&progress), Some(3.0));
        progress.estimated_rows = Some(50_000);
        assert_eq!(fraction_done(&progress), Some(0.25));
    }
}
