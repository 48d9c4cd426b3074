//! From figures of runs to verdicts.
//!
//! A difference is a `regression` or an `improvement` if it is *significant* and *large*:
//!
//! - Its size is estimated from the logarithms of the ratios within pairs, whose slow drift cancels, by the estimate of
//!   Hodges and Lehmann, which a few disturbed runs do not move. It has to exceed the metric's limit.
//! - Its significance is the best of three tests: Mann-Whitney of the two sides (exact; shrugs off single bad runs), Wilcoxon's
//!   signed ranks of the pairs (exact; shrugs off drift as well, but needs a dozen pairs to be sure), and Student's paired
//!   t (sure of a large difference after five pairs). Choosing the best of three counts as three attempts (Bonferroni).
//!   So does deciding on several metrics (Holm), and so does looking again after more pairs (each look gets its part of
//!   the whole error). So a comparison of a binary with itself, with all its metrics and all its looks, is wrong less
//!   often than `alpha` says; how much less, the simulation below measures.
//!
//! `no change` is a claim too: the whole bootstrap interval has to lie within the limits. Everything else is
//! `inconclusive`, and more pairs are run.

use std::collections::BTreeMap;

use serde::Serialize;

use super::interval::{self, Interval};
use super::metric::Metric;
use super::statistics::{
    hodges_lehmann, hodges_lehmann_shift, mann_whitney, median, paired_t, signed_ranks, spread,
    t_beyond, welch_t,
};

/// What decides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rules {
    /// Pairs before the first look.
    pub pairs: usize,
    /// Pairs at the last look.
    pub pairs_max: usize,
    /// The most that a comparison of something with itself may be wrong, all metrics and looks together.
    pub alpha: f64,
    /// The change of throughput and of processor time that matters.
    pub limit: f64,
    /// The change of a median latency that matters.
    pub limit_p50: f64,
    /// The change of a latency beyond that matters.
    pub limit_tail: f64,
    /// The metrics that decide.
    pub gate: Vec<Metric>,
}

impl Default for Rules {
    /// Five pairs to 40, 3 % of throughput, processor time and medians, 5 % of tails.
    fn default() -> Rules {
        Rules {
            pairs: 5,
            pairs_max: 40,
            alpha: 0.003,
            limit: 0.03,
            limit_p50: 0.03,
            limit_tail: 0.05,
            gate: Metric::GATE.to_vec(),
        }
    }
}

impl Rules {
    /// The change of this metric that matters, as a part of 1.
    pub fn limit_of(&self, metric: Metric) -> f64 {
        match metric {
            Metric::Throughput | Metric::CpuPerRequest | Metric::CpuPerGb => self.limit,
            Metric::ServiceP50 | Metric::ResponseP50 => self.limit_p50,
            _ => self.limit_tail,
        }
    }

    /// After how many pairs the figures are looked at: at first, then with about a third more each time. Looking less often
    /// leaves each look more of the error.
    pub fn looks(&self) -> Vec<usize> {
        let mut looks = vec![self.pairs.min(self.pairs_max)];
        while let Some(&last) = looks.last()
            && last < self.pairs_max
        {
            looks.push((last + last.div_ceil(3)).min(self.pairs_max));
        }
        looks
    }

    /// The error that each look may have.
    fn alpha_of_look(&self) -> f64 {
        self.alpha / self.looks().len() as f64
    }
}

/// What became of a metric, or of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is within the limits.
    NoChange,
    /// It is better by more than the limit.
    Improvement,
    /// It is worse by more than the limit.
    Regression,
    /// It cannot be said yet.
    Inconclusive {
        /// So many more pairs should do, as far as these tell.
        more_pairs: usize,
    },
}

impl Verdict {
    /// In words.
    pub fn words(self) -> String {
        match self {
            Verdict::NoChange => "no change".into(),
            Verdict::Improvement => "improvement".into(),
            Verdict::Regression => "regression".into(),
            Verdict::Inconclusive { more_pairs: 1 } => "inconclusive (1 more pair)".into(),
            Verdict::Inconclusive { more_pairs: MORE_MAX } => {
                "inconclusive (too noisy for any number of pairs)".into()
            }
            Verdict::Inconclusive { more_pairs } => {
                format!("inconclusive ({more_pairs} more pairs)")
            }
        }
    }
}

/// More pairs than this are not advised.
const MORE_MAX: usize = 999;

/// The figures of both sides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sides {
    /// Of A, in the order of the pairs.
    pub a: Vec<f64>,
    /// Of B, in the order of the pairs.
    pub b: Vec<f64>,
    /// The n-th of A and the n-th of B were measured together.
    pub paired: bool,
}

impl Sides {
    /// Logarithms of the ratios within pairs, as many as there are whole pairs.
    fn differences(&self) -> Vec<f64> {
        self.a.iter().zip(&self.b).map(|(a, b)| (b / a).ln()).collect()
    }

    fn logs(side: &[f64]) -> Vec<f64> {
        side.iter().map(|value| value.ln()).collect()
    }

    fn pairs(&self) -> usize {
        self.a.len().min(self.b.len())
    }

    /// The logarithm of B to A, estimated.
    fn shift(&self) -> f64 {
        match self.paired {
            true => hodges_lehmann(&self.differences()),
            false => hodges_lehmann_shift(&Sides::logs(&self.a), &Sides::logs(&self.b)),
        }
    }

    fn interval(&self) -> Interval {
        match self.paired {
            true => interval::of_pairs(&self.differences()),
            false => interval::of_samples(&Sides::logs(&self.a), &Sides::logs(&self.b)),
        }
    }

    /// How likely sides that do not differ are at least so far apart, by the best of the tests, corrected for choosing it.
    fn p(&self) -> f64 {
        let mann_whitney = mann_whitney(&self.a, &self.b);
        let p = match self.paired {
            true => {
                let differences = self.differences();
                let paired = signed_ranks(&differences).min(paired_t(&differences));
                3.0 * mann_whitney.min(paired)
            }
            false => {
                let welch = welch_t(&Sides::logs(&self.a), &Sides::logs(&self.b));
                2.0 * mann_whitney.min(welch)
            }
        };
        p.min(1.0)
    }
}

/// A metric, judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// Which.
    pub metric: Metric,
    /// The median of A's runs.
    pub a: f64,
    /// The median of B's runs.
    pub b: f64,
    /// B to A less 1, estimated from the pairs.
    pub change: f64,
    /// Where the change lies, with 95 % confidence; `None` without bounds.
    pub interval: Option<(f64, f64)>,
    /// The two-sided p-value of the Mann-Whitney test alone.
    pub p_mann_whitney: f64,
    /// The p-value that decides: of all tests, corrected for tests, metrics and looks; compare it with `alpha`.
    pub p: f64,
    /// The change that matters.
    pub limit: f64,
    /// It takes part in the decision.
    pub decides: bool,
    /// What became of it.
    pub verdict: Verdict,
}

/// Judges all metrics at one look. Metrics with fewer than two runs on a side are left out.
pub fn judge(sides: &BTreeMap<Metric, Sides>, rules: &Rules) -> Vec<Judged> {
    let p = corrected(sides, rules, |_| true);
    let known = sides.iter().filter(|(_, sides)| sides.pairs() >= 2);
    known.map(|(metric, sides)| judge_one(*metric, sides, rules, p[metric])).collect()
}

/// The verdict of all: a regression if there is one, else inconclusive if something is, else what was found.
pub fn overall(judged: &[Judged]) -> Verdict {
    let all = || judged.iter().filter(|one| one.decides).map(|one| one.verdict);
    let more = all().filter_map(|verdict| match verdict {
        Verdict::Inconclusive { more_pairs } => Some(more_pairs),
        _ => None,
    });
    match more.max() {
        _ if all().any(|verdict| verdict == Verdict::Regression) => Verdict::Regression,
        Some(more_pairs) => Verdict::Inconclusive { more_pairs },
        None if all().any(|verdict| verdict == Verdict::Improvement) => Verdict::Improvement,
        None if all().next().is_some() => Verdict::NoChange,
        None => Verdict::Inconclusive { more_pairs: MORE_MAX },
    }
}

/// Corrected p-values: of those that decide by Holm over each other, of the others by Bonferroni over all; and for looks.
/// Only those are computed that `wanted` names; for the others 1 stands.
fn corrected(
    sides: &BTreeMap<Metric, Sides>,
    rules: &Rules,
    wanted: impl Fn(&Sides) -> bool,
) -> BTreeMap<Metric, f64> {
    let looks = rules.looks().len() as f64;
    let raw = |sides: &Sides| match sides.pairs() >= 2 && wanted(sides) {
        true => sides.p(),
        false => 1.0,
    };
    let mut p: BTreeMap<Metric, f64> = sides.iter().map(|(m, s)| (*m, raw(s))).collect();
    let mut decide: Vec<(f64, Metric)> =
        p.iter().filter(|(m, _)| rules.gate.contains(m)).map(|(m, p)| (*p, *m)).collect();
    decide.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (count, all) = (decide.len(), p.len() as f64);
    p.values_mut().for_each(|p| *p = (*p * all * looks).min(1.0));
    let mut before = 0.0f64;
    for (index, (raw, metric)) in decide.into_iter().enumerate() {
        before = before.max((raw * (count - index) as f64 * looks).min(1.0));
        p.insert(metric, before);
    }
    p
}

fn judge_one(metric: Metric, sides: &Sides, rules: &Rules, p: f64) -> Judged {
    let limit = rules.limit_of(metric);
    let (shift, interval) = (sides.shift(), sides.interval());
    let change = shift.exp_m1();
    let (low, high) = (interval.low.exp_m1(), interval.high.exp_m1());
    let verdict = match (p < rules.alpha && change.abs() > limit, change > 0.0) {
        (true, worse_if_cost) if worse_if_cost == metric.is_cost() => Verdict::Regression,
        (true, _) => Verdict::Improvement,
        (false, _) if -limit < low && high < limit => Verdict::NoChange,
        (false, _) => Verdict::Inconclusive { more_pairs: more_pairs(sides, shift, limit, rules) },
    };
    Judged {
        metric,
        a: median(&sides.a),
        b: median(&sides.b),
        change,
        interval: (low.is_finite() && high.is_finite()).then_some((low, high)),
        p_mann_whitney: mann_whitney(&sides.a, &sides.b),
        p,
        limit,
        decides: rules.gate.contains(&metric),
        verdict,
    }
}

/// How many more pairs should bring a verdict if the estimate and its noise stay what they are.
fn more_pairs(sides: &Sides, shift: f64, limit: f64, rules: &Rules) -> usize {
    let have = sides.pairs();
    let noise = match sides.paired {
        true => spread(&sides.differences()),
        false => spread(&Sides::logs(&sides.a)).hypot(spread(&Sides::logs(&sides.b))),
    };
    // Of the pairs there will be, not of the few there are.
    let freedom = have.max(20) as f64;
    // The noise that the pairs must be averaged down to: for significance, or for an interval within the limits.
    let tests = 3.0 * rules.gate.len().max(1) as f64;
    let needed = match shift.exp_m1().abs() > limit {
        true => t_beyond(rules.alpha_of_look() / tests, freedom) * noise / shift.abs(),
        false => t_beyond(0.05, freedom) * noise / (limit.ln_1p() - shift.abs()).max(1e-9),
    };
    let more = (needed * needed).ceil() - have as f64;
    (more.clamp(1.0, MORE_MAX as f64)) as usize
}

#[cfg(test)]
mod tests {
    use super::super::chance::Chance;
    use super::*;

    /// How figures of runs on a shared machine of two cores scatter: normally, now and then one is disturbed, and all drift.
    #[derive(Clone, Copy)]
    struct Noise {
        normal: f64,
        disturbed: f64,
        by: f64,
        drift: f64,
    }

    const QUIET: Noise = Noise { normal: 0.01, disturbed: 0.0, by: 0.0, drift: 0.0 };
    const USUAL: Noise = Noise { normal: 0.025, disturbed: 0.05, by: 0.15, drift: 0.01 };
    const WILD: Noise = Noise { normal: 0.12, disturbed: 0.1, by: 0.8, drift: 0.03 };

    /// Two sides of which B is `planted` worse, measured pair by pair.
    struct World {
        chance: Chance,
        noises: Vec<(Metric, Noise, f64)>,
        drift: f64,
        sides: BTreeMap<Metric, Sides>,
    }

    impl World {
        fn new(seed: u64, noises: &[(Metric, Noise, f64)]) -> World {
            let (noises, sides) = (noises.to_vec(), BTreeMap::new());
            World { chance: Chance::new(seed * 0x1_0001), noises, drift: 0.0, sides }
        }

        fn run_pairs(&mut self, upto: usize) {
            let World { chance, noises, drift, sides } = self;
            for (metric, noise, planted) in noises.iter() {
                let of = sides.entry(*metric).or_default();
                of.paired = true;
                let mut draw = |planted: f64| {
                    let disturbed = chance.unit() < noise.disturbed;
                    let by = if disturbed { noise.by * chance.unit() } else { 0.0 };
                    *drift += noise.drift * chance.normal();
                    (noise.normal * chance.normal() + by + *drift + planted).exp()
                };
                while of.a.len() < upto {
                    of.a.push(draw(0.0));
                    of.b.push(draw(planted.ln_1p()));
                }
            }
        }

        /// The first verdict that ends the comparison, and after how many pairs.
        fn verdict(&mut self, rules: &Rules) -> (Verdict, usize) {
            let mut last = (Verdict::Inconclusive { more_pairs: 0 }, 0);
            for look in rules.looks() {
                self.run_pairs(look);
                last = (overall(&judge(&self.sides, rules)), look);
                if !matches!(last.0, Verdict::Inconclusive { .. }) {
                    break;
                }
            }
            last
        }

        /// Whether any look finds a change, had all pairs been run: what `verdict` would find without ever stopping.
        fn invents(&mut self, rules: &Rules) -> bool {
            rules.looks().into_iter().any(|look| {
                self.run_pairs(look);
                let is_large = |metric: Metric, sides: &Sides| {
                    sides.shift().exp_m1().abs() > rules.limit_of(metric)
                };
                // Significance is computed only where it can matter: that is seldom.
                let large: Vec<_> = self.sides.iter().filter(|(m, s)| is_large(**m, s)).collect();
                !large.is_empty() && {
                    let p = corrected(&self.sides, rules, |_| true);
                    large.iter().any(|(metric, _)| p[metric] < rules.alpha)
                }
            })
        }
    }

    fn gate(rules: &Rules, noise: impl Fn(Metric) -> (Noise, f64)) -> Vec<(Metric, Noise, f64)> {
        let of = |metric: &Metric| (*metric, noise(*metric).0, noise(*metric).1);
        rules.gate.iter().map(of).collect()
    }

    /// Thousands of comparisons of something with itself, four metrics and all looks each, invent nothing: fewer than one in a
    /// thousand finds a change.
    #[test]
    fn nothing_is_invented() {
        let rules = Rules::default();
        let invented = [QUIET, USUAL, WILD].map(|noise| {
            let noises = gate(&rules, |_| (noise, 0.0));
            (0..1_500).filter(|seed| World::new(*seed, &noises).invents(&rules)).count()
        });
        assert!(invented.iter().sum::<usize>() <= 4, "{invented:?} of 1,500 each");
    }

    /// 5 % planted in processor time and in the median service time are found, though runs scatter by 2.5 % and drift; and
    /// a comparison that would have to find it does not say that nothing changed.
    #[test]
    fn five_percent_are_found() {
        let rules = Rules {
            gate: vec![Metric::Throughput, Metric::CpuPerRequest, Metric::ServiceP50],
            ..Rules::default()
        };
        for planted in [Metric::CpuPerRequest, Metric::ServiceP50] {
            let noises = gate(&rules, |metric| match metric {
                Metric::Throughput => (QUIET, 0.0),
                metric => (USUAL, if metric == planted { 0.05 } else { 0.0 }),
            });
            let mut pairs = Vec::new();
            let found = (0..15).filter(|seed| {
                let (verdict, after) = World::new(*seed, &noises).verdict(&rules);
                pairs.push(after as f64);
                assert_ne!(verdict, Verdict::NoChange, "seed {seed}");
                verdict == Verdict::Regression
            });
            let found = found.count();
            assert!(found >= 13, "{planted:?}: {found} of 15");
            assert!(median(&pairs) <= 26.0, "{planted:?}: {pairs:?}");
        }
    }

    /// What is twice as slow is found after the first five pairs.
    #[test]
    fn a_large_change_needs_no_more_pairs() {
        let rules = Rules::default();
        for (planted, expected) in [(1.0, Verdict::Regression), (-0.5, Verdict::Improvement)] {
            let noises = gate(&rules, |metric| match metric {
                Metric::CpuPerRequest => (QUIET, planted),
                _ => (QUIET, 0.0),
            });
            let found = (0..20).filter(|seed| {
                let mut world = World::new(*seed, &noises);
                world.run_pairs(5);
                let judged = judge(&world.sides, &rules);
                judged[1].verdict == expected && judged[1].metric == Metric::CpuPerRequest
            });
            assert!(found.count() >= 19);
        }
    }

    #[test]
    fn the_same_is_soon_said_to_be_the_same() {
        let rules = Rules::default();
        let noises = gate(&rules, |_| (QUIET, 0.0));
        for seed in 0..10 {
            let (verdict, pairs) = World::new(seed, &noises).verdict(&rules);
            assert_eq!(verdict, Verdict::NoChange);
            assert!(pairs <= 14, "{pairs} pairs");
        }
    }

    fn sides(a: &[f64], b: &[f64]) -> Sides {
        Sides { a: a.to_vec(), b: b.to_vec(), paired: true }
    }

    #[test]
    fn verdicts_need_significance_and_size() {
        let rules = Rules { gate: vec![Metric::Throughput], ..Rules::default() };
        let verdict = |a: &[f64], b: &[f64]| {
            let judged = judge(&BTreeMap::from([(Metric::Throughput, sides(a, b))]), &rules);
            assert_eq!(overall(&judged), judged[0].verdict);
            judged[0].verdict
        };
        let a = [100.0, 101.0, 99.0, 100.5, 99.5];
        let times = |by: f64| a.map(|value| value * by);
        assert_eq!(verdict(&a, &times(0.9)), Verdict::Regression, "less throughput is worse");
        assert_eq!(verdict(&a, &times(1.1)), Verdict::Improvement);
        assert_eq!(verdict(&a, &times(1.02)), Verdict::NoChange, "significant and small");
        assert_eq!(verdict(&a, &a), Verdict::NoChange);
        let scattered = [70.0, 120.0, 88.0, 93.0, 91.0];
        let Verdict::Inconclusive { more_pairs } = verdict(&a, &scattered) else {
            panic!("large and not significant")
        };
        assert!((5..500).contains(&more_pairs), "{more_pairs}");
        assert_eq!(overall(&[]), Verdict::Inconclusive { more_pairs: MORE_MAX });
    }

    #[test]
    fn what_does_not_decide_is_shown_and_no_more() {
        let rules = Rules { gate: vec![Metric::Throughput], ..Rules::default() };
        let a = [100.0, 101.0, 99.0, 100.5, 99.5, 100.2];
        let slow = a.map(|value| value * 2.0);
        let both = BTreeMap::from([
            (Metric::Throughput, sides(&a, &a)),
            (Metric::EndToEndP99, sides(&a, &slow)),
            (Metric::CpuPerGb, sides(&a[..1], &a[..1])),
        ]);
        let judged = judge(&both, &rules);
        assert_eq!(judged.len(), 2, "one run is no sample");
        assert_eq!(judged[1].verdict, Verdict::Regression);
        assert!(!judged[1].decides && overall(&judged) == Verdict::NoChange);
        let change = judged[1].interval.expect("six pairs have one");
        assert!((judged[1].change - 1.0).abs() < 1e-9 && change.0 <= 1.0 && change.1 >= 1.0);
    }

    #[test]
    fn results_that_were_not_paired_are_compared_too() {
        let rules = Rules { gate: vec![Metric::ServiceP50], ..Rules::default() };
        let a = [100.0, 101.0, 99.0, 100.5, 99.5];
        let b = [140.0, 139.0, 141.5, 140.5];
        let sides = Sides { a: a.to_vec(), b: b.to_vec(), paired: false };
        let judged = judge(&BTreeMap::from([(Metric::ServiceP50, sides)]), &rules);
        assert_eq!(judged[0].verdict, Verdict::Regression);
        assert!((judged[0].p_mann_whitney - 2.0 / 126.0).abs() < 1e-9);
        assert!((judged[0].change - 0.4).abs() < 0.02);
    }

    #[test]
    fn looks_grow_to_the_last() {
        assert_eq!(Rules::default().looks(), [5, 7, 10, 14, 19, 26, 35, 40]);
        let looks = |pairs, pairs_max| Rules { pairs, pairs_max, ..Rules::default() }.looks();
        assert_eq!(looks(5, 5), [5]);
        assert_eq!(looks(2, 4), [2, 3, 4]);
        assert_eq!(looks(9, 3), [3]);
    }
}
