//! Pairs of runs until there is a verdict.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::metric::Metric;
use super::verdict::{Judged, Rules, Sides, Verdict, judge, overall};
use crate::error::BenchError;
use crate::result::model::Run;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// What it is compared with.
    A,
    /// What is in question.
    B,
}

impl Side {
    /// Its letter.
    pub fn letter(self) -> char {
        match self {
            Side::A => 'A',
            Side::B => 'B',
        }
    }
}

/// What was measured and judged.
#[derive(Debug, Default)]
pub struct Measured {
    /// Runs of A, by pair.
    pub a: Vec<Run>,
    /// Runs of B, by pair.
    pub b: Vec<Run>,
    /// In which order the runs of each pair took place, `AB` or `BA`.
    pub order: Vec<String>,
    /// The metrics at the last look.
    pub judged: Vec<Judged>,
}

/// How far a comparison is.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The pair that runs, from 1.
    pub pair: usize,
    /// Pairs at the next look.
    pub look: usize,
    /// Which side runs.
    pub side: Side,
    /// How long until the next look, once a run has shown how long one takes.
    pub remaining: Option<Duration>,
}

/// Runs pairs until every metric that decides has a verdict, one is a regression, or there are no more pairs. `run` runs one
/// side once. The order within pairs is random, and balanced over every two, so that neither side always follows the other.
///
/// # Errors
/// Those of `run`.
pub fn in_pairs(
    rules: &Rules,
    seed: u64,
    run: &mut dyn FnMut(Step) -> Result<Run, BenchError>,
    looked: &mut dyn FnMut(&[Judged], Option<usize>),
) -> Result<Measured, BenchError> {
    let mut chance = Chance::new(seed);
    let mut measured = Measured::default();
    let (began, mut runs) = (Instant::now(), 0);
    let looks = rules.looks();
    for (index, look) in looks.iter().copied().enumerate() {
        while measured.a.len() < look {
            let first = match measured.order.last() {
                Some(last) if measured.order.len() % 2 == 1 => {
                    if last == "AB" {
                        Side::B
                    } else {
                        Side::A
                    }
                }
                _ => [Side::A, Side::B][chance.below(2)],
            };
            let sides = if first == Side::A { [Side::A, Side::B] } else { [Side::B, Side::A] };
            for side in sides {
                let pair = measured.a.len().min(measured.b.len()) + 1;
                let left = 2 * look as u32 - runs;
                let remaining = (runs > 0).then(|| began.elapsed() / runs * left);
                let done = run(Step { pair, look, side, remaining })?;
                match side {
                    Side::A => measured.a.push(done),
                    Side::B => measured.b.push(done),
                }
                runs += 1;
            }
            measured.order.push(sides.iter().map(|side| side.letter()).collect());
        }
        measured.judged = judge(&sides(&measured.a, &measured.b, true), rules);
        let is_done = !matches!(overall(&measured.judged), Verdict::Inconclusive { .. });
        let next = looks.get(index + 1).copied().filter(|_| !is_done);
        looked(&measured.judged, next);
        if is_done {
            break;
        }
    }
    Ok(measured)
}

/// The figures of both sides. Of pairs, those in which both runs have a figure.
pub fn sides(a: &[Run], b: &[Run], paired: bool) -> BTreeMap<Metric, Sides> {
    let mut all = BTreeMap::new();
    for metric in Metric::ALL {
        let mut sides = Sides { paired, ..Sides::default() };
        if paired {
            for (a, b) in a.iter().zip(b) {
                if let (Some(a), Some(b)) = (metric.of(a), metric.of(b)) {
                    sides.a.push(a);
                    sides.b.push(b);
                }
            }
        } else {
            sides.a = a.iter().filter_map(|run| metric.of(run)).collect();
            sides.b = b.iter().filter_map(|run| metric.of(run)).collect();
        }
        if !sides.a.is_empty() && !sides.b.is_empty() {
            all.insert(metric, sides);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broker that never was: its runs scatter by 1 %, its processor time is `cpu`.
    fn fake(chance: &mut Chance, cpu: f64) -> Run {
        let mut run = Run { seconds: 10.0, ..Run::default() };
        run.totals.acknowledged = 10_000;
        run.totals.requests = 10_000;
        run.broker.cpu_seconds = Some(cpu * (0.01 * chance.normal()).exp());
        run
    }

    fn rules() -> Rules {
        Rules { gate: vec![Metric::Throughput, Metric::CpuPerRequest], ..Rules::default() }
    }

    fn compare(cpu: f64, rules: &Rules) -> (Measured, Vec<(usize, Option<usize>)>) {
        let (mut chance, mut looks, mut ran) = (Chance::new(3), Vec::new(), 0);
        let mut run = |step: Step| {
            ran += 1;
            assert_eq!(step.remaining.is_some(), ran > 1);
            Ok(fake(&mut chance, if step.side == Side::A { 1.0 } else { cpu }))
        };
        let measured = in_pairs(rules, 7, &mut run, &mut |judged, next| {
            looks.push((judged.len(), next));
        });
        (measured.expect("no run fails"), looks)
    }

    #[test]
    fn pairs_are_added_until_there_is_a_verdict() {
        let (measured, looks) = compare(1.05, &rules());
        assert_eq!(overall(&measured.judged), Verdict::Regression);
        let pairs = measured.a.len();
        assert!(rules().looks().contains(&pairs) && pairs <= 19, "{pairs}");
        assert_eq!(looks.last().map(|look| look.1), Some(None));
        assert!(looks.len() > 1 && looks[0] == (2, Some(7)), "{looks:?}");
        let (measured, _) = compare(1.0, &rules());
        assert_eq!(overall(&measured.judged), Verdict::NoChange);
        let (measured, looks) = compare(1.05, &Rules { pairs_max: 3, ..rules() });
        assert!(matches!(overall(&measured.judged), Verdict::Inconclusive { .. }));
        assert_eq!((measured.b.len(), looks), (3, vec![(2, None)]));
    }

    #[test]
    fn the_order_is_random_and_balanced() {
        let rules = Rules { pairs: 40, ..rules() };
        let (measured, _) = compare(1.0, &rules);
        assert_eq!(measured.order.len(), 40);
        for two in measured.order.chunks(2) {
            assert_ne!(two[0], two[1], "each side is first once");
        }
        let first = measured.order.iter().step_by(2).filter(|order| *order == "AB").count();
        assert!((4..=16).contains(&first), "{first} of 20");
    }

    #[test]
    fn a_run_that_fails_ends_the_comparison() {
        let mut ran = 0;
        let mut run = |_: Step| {
            ran += 1;
            if ran == 4 { Err(BenchError::failed("no broker")) } else { Ok(Run::default()) }
        };
        let error = in_pairs(&rules(), 1, &mut run, &mut |_, _| {}).expect_err("the fourth fails");
        assert_eq!((error.what.as_str(), ran), ("no broker", 4));
    }

    #[test]
    fn pairs_without_a_figure_on_one_side_are_left_out() {
        let mut chance = Chance::new(1);
        let mut runs: Vec<Run> = (0..3).map(|_| fake(&mut chance, 1.0)).collect();
        let whole = runs.clone();
        runs[1].broker.cpu_seconds = None;
        let paired = sides(&runs, &whole, true);
        assert_eq!(paired[&Metric::CpuPerRequest].a.len(), 2);
        assert_eq!(paired[&Metric::CpuPerRequest].b.len(), 2);
        assert_eq!(paired[&Metric::Throughput].a.len(), 3);
        let unpaired = sides(&runs, &whole, false);
        assert_eq!(unpaired[&Metric::CpuPerRequest].b.len(), 3);
        assert!(!paired.contains_key(&Metric::ServiceP50));
    }
}
