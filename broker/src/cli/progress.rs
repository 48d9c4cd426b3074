//! Progress of long work: one moving line on a terminal, a plain line every ten seconds elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::{self, Output};

/// The pause between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// What is expected.
#[derive(Debug, Clone, Copy)]
pub enum Total {
    /// So many bytes.
    Bytes(u64),
    /// So many records.
    Records(u64),
}

/// What has been done so far, and the way it is shown.
pub struct Progress {
    bar: Option<ProgressBar>,
    by_records: bool,
    plain: bool,
    began: Instant,
    shown: Instant,
    verb: &'static str,
    records: u64,
    bytes: u64,
}

impl Progress {
    /// Starts. `verb` is what is done to records ("sent").
    pub fn start(output: &Output, verb: &'static str, total: Option<Total>) -> Self {
        let began = Instant::now();
        let moving = output.progress && output.terminal;
        let bar = moving.then(|| {
            let bar = match total {
                Some(Total::Bytes(total) | Total::Records(total)) => ProgressBar::new(total),
                None => ProgressBar::no_length(),
            };
            let template = match total {
                Some(_) => "{wide_bar} {percent:>3} %  {msg}  eta {eta}",
                None => "{spinner} {msg}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            bar
        });
        let plain = output.progress && !moving;
        let by_records = matches!(total, Some(Total::Records(_)));
        Progress { bar, by_records, plain, began, shown: began, verb, records: 0, bytes: 0 }
    }

    /// Adds finished work.
    pub fn add(&mut self, records: u64, bytes: u64) {
        self.records += records;
        self.bytes += bytes;
        if let Some(bar) = &self.bar {
            bar.set_position(if self.by_records { self.records } else { self.bytes });
            bar.set_message(self.text());
        } else if self.plain && self.shown.elapsed() >= PLAIN_EVERY {
            self.shown = Instant::now();
            eprintln!("{}", self.text());
        }
    }

    /// Prints a sentence above the moving line.
    pub fn say(&self, output: &Output, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output.say(text)),
            None => output.say(text),
        }
    }

    /// Removes the moving line.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Records so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// What was done, in how long, at what rate: `1 000 000 records sent, 95.4 MiB in 2.31 s
    /// (432 900 records/s, 41.3 MiB/s)`.
    pub fn text(&self) -> String {
        let seconds = self.began.elapsed().as_secs_f64().max(1e-6);
        format!(
            "{} {}, {} in {seconds:.2} s ({} records/s, {}/s)",
            output::plural(self.records, "record"),
            self.verb,
            output::bytes(self.bytes),
            output::count((self.records as f64 / seconds) as u64),
            output::bytes((self.bytes as f64 / seconds) as u64),
        )
    }
}
