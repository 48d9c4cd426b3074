//! What a comparison found, as one JSON document, and as a table.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::pairs::Measured;
use super::verdict::{Judged, Rules, Verdict, overall};
use crate::plan::Plan;
use crate::provenance::Provenance;
use crate::result::figures::plural;
use crate::result::model::Run;
use crate::result::{doubts, workload};

/// The number of the format that is written.
pub const FORMAT: u32 = 1;

/// What was compared, how, and what was found.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// [`FORMAT`].
    pub format: u32,
    /// What A is.
    pub a: String,
    /// What B is.
    pub b: String,
    /// The runs of each pair took place one after the other; false for saved results.
    pub paired: bool,
    /// What each run was asked to do.
    pub plan: Plan,
    /// What decided.
    pub rules: Rules,
    /// Where, with what.
    pub provenance: Provenance,
    /// The verdict of all metrics that decide.
    pub verdict: Verdict,
    /// Each metric.
    pub metrics: Vec<Judged>,
    /// The order of the runs of each pair, `AB` or `BA`.
    pub order: Vec<String>,
    /// All runs of A.
    pub a_runs: Vec<Run>,
    /// All runs of B.
    pub b_runs: Vec<Run>,
}

impl Comparison {
    /// Of what was measured. `names` are those of A and of B.
    pub fn new(
        names: [String; 2],
        paired: bool,
        plan: Plan,
        rules: Rules,
        provenance: Provenance,
        measured: Measured,
    ) -> Comparison {
        let [a, b] = names;
        let Measured { a: a_runs, b: b_runs, order, judged } = measured;
        Comparison {
            format: FORMAT,
            a,
            b,
            paired,
            plan,
            rules,
            provenance,
            verdict: overall(&judged),
            metrics: judged,
            order,
            a_runs,
            b_runs,
        }
    }

    /// 0, 3 with a regression, 4 where nothing can be said.
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::NoChange | Verdict::Improvement => 0,
            Verdict::Regression => 3,
            Verdict::Inconclusive { .. } => 4,
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let runs = match self.paired {
            true => plural(self.a_runs.len() as u64, "pair"),
            false => format!("{} and {} saved runs", self.a_runs.len(), self.b_runs.len()),
        };
        let mut text = format!("workload  {}\n", workload::line(&self.plan));
        text += &format!("A         {}\nB         {}\n", self.a, self.b);
        text += &format!(
            "measured  {runs} of {} s after a warm-up of {} s\n\n",
            self.plan.duration_ms as f64 / 1e3,
            self.plan.warm_up_ms as f64 / 1e3
        );
        text += &table(&self.metrics);
        text += "\n\n";
        text += &self.sentence();
        let runs: Vec<Run> = self.a_runs.iter().chain(&self.b_runs).cloned().collect();
        for doubt in doubts::merged(&runs) {
            text += &format!("\ndoubt     {} [{}]", doubt.words, doubt.about);
        }
        text
    }

    fn sentence(&self) -> String {
        let decided = |verdict| {
            let is = |one: &&Judged| one.decides && one.verdict == verdict;
            plural(self.metrics.iter().filter(is).count() as u64, "metric")
        };
        match self.verdict {
            Verdict::Regression => format!("B is worse: {}.", decided(Verdict::Regression)),
            Verdict::Improvement => format!("B is better: {}.", decided(Verdict::Improvement)),
            Verdict::NoChange => "No change: all that decides lies within its limit.".into(),
            Verdict::Inconclusive { .. } if self.metrics.iter().all(|one| !one.decides) => {
                "Inconclusive: no metric that decides was measured twice on both sides.".into()
            }
            verdict => format!("{}.", capital(&verdict.words())),
        }
    }
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

/// One row for each metric; those that do not decide are in brackets.
pub fn table(metrics: &[Judged]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["metric", "A", "B", "change [95 % interval]", "p (M-W)", "p", "verdict"]);
    for one in metrics {
        let percent = |change: f64| format!("{:+.1}", change * 100.0);
        let interval = one.interval.map_or_else(String::new, |(low, high)| {
            format!(" [{}, {}]", percent(low), percent(high))
        });
        let (name, verdict) = match (one.decides, one.verdict) {
            (true, Verdict::Regression) => (
                one.metric.name().to_owned(),
                format!("REGRESSION (limit {} %)", one.limit * 100.0),
            ),
            (true, verdict) => (one.metric.name().to_owned(), verdict.words()),
            (false, verdict) => {
                (format!("({})", one.metric.name()), format!("({})", verdict.words()))
            }
        };
        table.add_row([
            name,
            one.metric.show(one.a),
            one.metric.show(one.b),
            format!("{} %{interval}", percent(one.change)),
            p(one.p_mann_whitney),
            p(one.p),
            verdict,
        ]);
    }
    for index in [1, 2, 3, 4, 5] {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

fn p(p: f64) -> String {
    match p {
        p if p < 0.0001 => "<0.0001".into(),
        p if p < 0.01 => format!("{p:.4}"),
        p => format!("{p:.2}"),
    }
}
