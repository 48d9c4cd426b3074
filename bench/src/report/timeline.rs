//! The seconds of all runs in a row, as columns of a drawing.

use super::svg::{Plot, Svg};
use crate::result::model::{Run, Second};

/// More columns than this could not be told apart.
const COLUMNS_MAX: usize = 360;

/// Space between two runs.
const GAP: f64 = 8.0;

/// One or more seconds of one run.
#[derive(Clone, Debug)]
pub struct Column {
    /// Which run, from 0.
    pub run: usize,
    /// The first second's number, from 0.
    pub begin: usize,
    /// How many.
    pub seconds: usize,
    /// Their counts added up, their histograms merged; of backlog, slip and memory the largest.
    pub what: Second,
}

/// All columns, and the width they share.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// In order.
    pub columns: Vec<Column>,
    runs: usize,
}

impl Timeline {
    /// Of some runs.
    pub fn of(runs: &[Run]) -> Timeline {
        let seconds: usize = runs.iter().map(|run| run.timeline.len()).sum();
        let each = seconds.div_ceil(COLUMNS_MAX).max(1);
        let mut columns = Vec::new();
        for (run, seconds) in runs.iter().enumerate().map(|(run, of)| (run, &of.timeline)) {
            for (number, some) in seconds.chunks(each).enumerate() {
                let what = sum(some);
                columns.push(Column { run, begin: number * each, seconds: some.len(), what });
            }
        }
        Timeline { columns, runs: runs.len() }
    }

    /// Left end and width of each column.
    pub fn places(&self, plot: Plot) -> Vec<(f64, f64)> {
        let gaps = GAP * self.runs.saturating_sub(1) as f64;
        let width = (plot.right - plot.left - gaps) / self.columns.len().max(1) as f64;
        let place = |(number, column): (usize, &Column)| {
            (plot.left + number as f64 * width + GAP * column.run as f64, width)
        };
        self.columns.iter().enumerate().map(place).collect()
    }

    /// Labels below the plot: seconds of a single run, the number of each of several.
    pub fn axis(&self, svg: &mut Svg, plot: Plot, wanted: usize) {
        let places = self.places(plot);
        let y = plot.bottom + 18.0;
        if self.runs > 1 {
            let short = (plot.right - plot.left) / (self.runs as f64) < 60.0;
            for run in 0..self.runs {
                let own =
                    || self.columns.iter().zip(&places).filter(|(column, _)| column.run == run);
                let (Some((_, first)), Some((_, last))) = (own().next(), own().next_back()) else {
                    continue;
                };
                let words = if short { (run + 1).to_string() } else { format!("run {}", run + 1) };
                svg.text("middle", ((first.0 + last.0 + last.1) / 2.0, y), &words);
            }
            return;
        }
        let seconds: usize = self.columns.iter().map(|column| column.seconds).sum();
        let scale = super::scale::Scale::linear(0.0, seconds as f64, plot.left, plot.right);
        // A column is a whole second.
        for value in scale.ticks(wanted).into_iter().filter(|value| value.fract() == 0.0) {
            let x = scale.at(value);
            svg.line("tick", (x, plot.bottom), (x, plot.bottom + 5.0));
            let unit = if value == 0.0 { "\u{202f}s" } else { "" };
            svg.text("middle", (x, y), &format!("{value}{unit}"));
        }
    }

    /// A line through a figure of each column, drawn apart for each run. Columns without the figure are left out.
    pub fn line(
        &self,
        svg: &mut Svg,
        plot: Plot,
        (class, series): (&str, usize),
        y: impl Fn(&Column) -> Option<f64>,
    ) {
        let places = self.places(plot);
        for run in 0..self.runs {
            let own = self.columns.iter().zip(&places).filter(|(column, _)| column.run == run);
            let points = own.filter_map(|(column, (x, width))| Some((x + width / 2.0, y(column)?)));
            svg.line_through(class, series, &points.collect::<Vec<_>>());
        }
    }

    /// The same with a figure that holds for the whole width of its column; there is a gap where there is none.
    pub fn steps(
        &self,
        svg: &mut Svg,
        plot: Plot,
        (class, series): (&str, usize),
        y: impl Fn(&Column) -> Option<f64>,
    ) {
        let mut points = Vec::new();
        let mut run = 0;
        for (column, (x, width)) in self.columns.iter().zip(self.places(plot)) {
            let y = y(column);
            if y.is_none() || column.run != run {
                svg.line_through(class, series, &std::mem::take(&mut points));
                run = column.run;
            }
            points.extend(y.into_iter().flat_map(|y| [(x, y), (x + width, y)]));
        }
        svg.line_through(class, series, &points);
    }

    /// What each column says when it is pointed at.
    pub fn words(&self, svg: &mut Svg, plot: Plot, words: impl Fn(&Column) -> String) {
        for (column, (x, width)) in self.columns.iter().zip(self.places(plot)) {
            let size = (width, plot.bottom - plot.top);
            svg.rect_with_words("band", (x, plot.top), size, &words(column));
        }
    }
}

impl Column {
    /// When: `second 23`, `run 2, seconds 20 to 22`.
    pub fn when(&self, runs: usize) -> String {
        let run = if runs > 1 { format!("run {}, ", self.run + 1) } else { String::new() };
        match self.seconds {
            1 => format!("{run}second {}", self.begin),
            more => format!("{run}seconds {} to {}", self.begin, self.begin + more - 1),
        }
    }

    /// A count of it, a second.
    pub fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.seconds.max(1) as f64
    }
}

fn sum(seconds: &[Second]) -> Second {
    let mut sum = Second::default();
    for second in seconds {
        sum.intended += second.intended;
        sum.acknowledged += second.acknowledged;
        sum.acknowledged_bytes += second.acknowledged_bytes;
        sum.consumed += second.consumed;
        sum.consumed_bytes += second.consumed_bytes;
        sum.backlog = sum.backlog.max(second.backlog);
        sum.slip_ns = sum.slip_ns.max(second.slip_ns);
        sum.broker_resident_bytes = sum.broker_resident_bytes.max(second.broker_resident_bytes);
        sum.response.merge(&second.response);
        sum.service.merge(&second.service);
        sum.end_to_end.merge(&second.end_to_end);
        for (thread, ns) in &second.broker_cpu_ns {
            *sum.broker_cpu_ns.entry(thread.clone()).or_default() += ns;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seconds: usize) -> Run {
        let second = Second { acknowledged: 10, backlog: 3, ..Second::default() };
        Run { timeline: vec![second; seconds], ..Run::default() }
    }

    #[test]
    fn long_runs_have_wider_columns_and_lose_nothing() {
        let timeline = Timeline::of(&[run(1_000), run(1_000)]);
        assert!(timeline.columns.len() <= COLUMNS_MAX + 2, "{}", timeline.columns.len());
        let all: u64 = timeline.columns.iter().map(|column| column.what.acknowledged).sum();
        assert_eq!(all, 20_000);
        let column = &timeline.columns[1];
        assert_eq!((column.begin, column.seconds, column.what.backlog), (6, 6, 3));
        assert_eq!(column.per_second(column.what.acknowledged), 10.0);
        assert_eq!(column.when(2), "run 1, seconds 6 to 11");
    }

    #[test]
    fn a_step_without_a_figure_is_a_gap() {
        let plot = Plot { left: 0.0, right: 48.0, top: 0.0, bottom: 1.0 };
        let timeline = Timeline::of(&[run(3), run(1)]);
        let mut svg = Svg::new(48.0, 1.0);
        timeline.steps(&mut svg, plot, ("line", 0), |column| (column.begin != 1).then_some(0.5));
        let text = svg.finish("wide", "");
        for path in ["M0 0.5L10 0.5\"", "M20 0.5L30 0.5\"", "M38 0.5L48 0.5\""] {
            assert!(text.contains(path), "{path} is missing in {text}");
        }
    }

    #[test]
    fn columns_fill_the_plot_and_runs_stand_apart() {
        let plot = Plot { left: 10.0, right: 118.0, top: 0.0, bottom: 1.0 };
        let timeline = Timeline::of(&[run(5), run(5)]);
        let places = timeline.places(plot);
        assert_eq!((places[0], places[4]), ((10.0, 10.0), (50.0, 10.0)));
        assert_eq!((places[5], places[9]), ((68.0, 10.0), (108.0, 10.0)));
        assert!(Timeline::of(&[]).places(plot).is_empty());
    }
}
