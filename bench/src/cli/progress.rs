//! A run as it goes on: one moving line on a terminal, a plain line every ten seconds elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::Io;
use crate::load::{Live, Phase};
use crate::plan::Plan;
use crate::result::figures::{bytes, count, latency, value_at};

/// The pause between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Shows how far the runs of a plan are.
pub struct Progress {
    bar: Option<ProgressBar>,
    plain: bool,
    shown: Instant,
    course: Course,
}

/// What lies before the runs of a plan.
#[derive(Clone, Copy, Debug)]
struct Course {
    warm_up: Duration,
    measured: Duration,
    /// From 1.
    run: u32,
    runs: u32,
}

impl Progress {
    /// Before the first of `runs`.
    pub fn start(io: &Io, plan: &Plan, runs: u32) -> Progress {
        let course = Course { warm_up: plan.warm_up(), measured: plan.duration(), run: 1, runs };
        let bar = (io.progress && io.terminal).then(|| {
            let bar = ProgressBar::new(course.whole().as_millis() as u64);
            if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar}") {
                bar.set_style(style);
            }
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            bar
        });
        Progress { bar, plain: io.progress && !io.terminal, shown: Instant::now(), course }
    }

    /// The next run begins, counted from 1.
    pub fn begin(&mut self, run: u32) {
        self.course.run = run;
    }

    /// Shows how far the run is.
    pub fn show(&mut self, live: &Live) {
        if let Some(bar) = &self.bar {
            bar.set_position(self.course.done(live).as_millis() as u64);
            bar.set_message(self.course.line(live));
        } else if self.plain && self.shown.elapsed() >= PLAIN_EVERY {
            self.shown = Instant::now();
            eprintln!("{}", self.course.line(live));
        }
    }

    /// Removes the moving line.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Course {
    fn whole(&self) -> Duration {
        (self.warm_up + self.measured) * self.runs
    }

    /// Time of the load that is behind us.
    fn done(&self, live: &Live) -> Duration {
        let before = (self.warm_up + self.measured) * (self.run - 1);
        before
            + match live.phase {
                Phase::Preparing => Duration::ZERO,
                Phase::WarmUp => live.elapsed.min(self.warm_up),
                Phase::Measuring => self.warm_up + live.elapsed.min(self.measured),
                Phase::Draining => self.warm_up + self.measured,
            }
    }

    /// The run in a line that fits 80 columns, but for what is not usual.
    fn line(&self, live: &Live) -> String {
        let run = match self.runs {
            1 => String::new(),
            runs => format!("run {}/{runs} ", self.run),
        };
        let of = format!("{} of {} s", live.elapsed.as_secs(), live.of.as_secs());
        let at = match (live.phase, &live.words) {
            (Phase::Preparing, Some(words)) => words.clone(),
            (Phase::Preparing, None) => "preparing".to_owned(),
            (Phase::WarmUp, _) => format!("warm-up {of}"),
            (Phase::Measuring, _) => of,
            (Phase::Draining, Some(words)) => words.clone(),
            (Phase::Draining, None) => "waiting for the last records".to_owned(),
        };
        let mut parts = vec![run + &at];
        if live.phase == Phase::Measuring || live.phase == Phase::WarmUp {
            let left = self.whole().saturating_sub(self.done(live));
            parts.push(format!("eta {}", time(left)));
            parts.extend(rates(live));
        }
        parts.join(" · ")
    }
}

/// What is sent, acknowledged, waited for and read.
fn rates(live: &Live) -> Vec<String> {
    let per_second = |records: f64| count(records.round() as u64);
    let mut parts = Vec::new();
    if live.intended_per_second > 0.0 || live.acknowledged_per_second > 0.0 {
        parts.push(format!(
            "{}/s {}/s",
            per_second(live.acknowledged_per_second),
            bytes(live.bytes_per_second)
        ));
        let at = |quantile| {
            let value = value_at(&live.response, quantile);
            value.map_or("n/a".to_owned(), |value| latency(value.as_nanos() as f64))
        };
        parts.push(format!("p50 {} p99 {}", at(0.5), at(0.99)));
        if live.failed > 0 {
            parts.push(format!("failed {}", count(live.failed)));
        }
        parts.push(format!("backlog {}", count(live.backlog)));
    }
    if live.consumed_per_second > 0.0 {
        parts.push(format!("read {}/s", per_second(live.consumed_per_second)));
    }
    parts
}

/// `18 s`, `2 min 5 s`, `3 h 20 min`.
fn time(left: Duration) -> String {
    let seconds = left.as_secs_f64().ceil() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latencies;

    fn course() -> Course {
        let seconds = Duration::from_secs;
        Course { warm_up: seconds(5), measured: seconds(30), run: 2, runs: 5 }
    }

    fn live(phase: Phase, elapsed: u64, of: u64) -> Live {
        let (elapsed, of) = (Duration::from_secs(elapsed), Duration::from_secs(of));
        Live { phase, elapsed, of, ..Live::default() }
    }

    #[test]
    fn a_line_says_how_far_and_how_fast() {
        let mut response = Latencies::new();
        response.record_ns(412_000, 985);
        response.record_ns(1_204_000, 15);
        let live = Live {
            intended_per_second: 51_200.0,
            acknowledged_per_second: 51_199.6,
            bytes_per_second: 52_428_800.0,
            consumed_per_second: 50_000.0,
            response,
            backlog: 1_212,
            failed: 3,
            ..live(Phase::Measuring, 12, 30)
        };
        assert_eq!(
            course().line(&live),
            "run 2/5 12 of 30 s · eta 2 min 3 s · 51 200/s 50 MiB/s · p50 412 us p99 1.2 ms · failed 3 · \
             backlog 1 212 · read 50 000/s"
        );
    }

    #[test]
    fn phases_without_load_say_what_goes_on() {
        let once = Course { run: 1, runs: 1, ..course() };
        assert_eq!(once.line(&Live::default()), "preparing");
        let words = Some("producing a backlog, 3 of 5 GiB".to_owned());
        let preparing = Live { words, ..Live::default() };
        assert_eq!(course().line(&preparing), "run 2/5 producing a backlog, 3 of 5 GiB");
        let drain = once.line(&live(Phase::Draining, 1, 30));
        assert_eq!(drain, "waiting for the last records");
        let warm_up = once.line(&live(Phase::WarmUp, 2, 5));
        assert_eq!(warm_up, "warm-up 2 of 5 s · eta 33 s");
    }

    #[test]
    fn the_bar_goes_over_all_runs() {
        let done = |phase, elapsed| course().done(&live(phase, elapsed, 0)).as_secs();
        assert_eq!(course().whole().as_secs(), 175);
        assert_eq!(done(Phase::Preparing, 9), 35);
        assert_eq!(done(Phase::WarmUp, 3), 38);
        assert_eq!(done(Phase::Measuring, 3), 43);
        assert_eq!(done(Phase::Draining, 9), 70);
    }

    #[test]
    fn times_for_people() {
        let check = |seconds, expected| assert_eq!(time(Duration::from_secs(seconds)), expected);
        check(0, "0 s");
        check(59, "59 s");
        check(125, "2 min 5 s");
        check(12_000, "3 h 20 min");
    }
}
