//! Exact tests for few runs, and the estimate of a shift.
//!
//! The Mann-Whitney test and Wilcoxon's signed ranks are computed from the whole distribution under "no difference", ties
//! included (as mid-ranks), not from a normal approximation: with five runs a side that would be wrong by a factor.

use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    /// Distributions without ties, by the numbers of values: the same for all data.
    static NULLS: RefCell<BTreeMap<(usize, usize), Vec<f64>>> = const { RefCell::new(BTreeMap::new()) };
}

/// The two-sided p-value of the Mann-Whitney test: how likely samples of one population are at least as far apart.
/// 1 where a side is empty.
pub fn mann_whitney(a: &[f64], b: &[f64]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return 1.0;
    }
    let all: Vec<f64> = a.iter().chain(b).copied().collect();
    let (ranks, ties) = ranks_doubled(&all);
    let sum: usize = ranks[..a.len()].iter().sum();
    let compute = || subset_sums(&ranks, Some(a.len()));
    two_sided(sum, (a.len(), b.len()), ties, compute)
}

/// The two-sided p-value of Wilcoxon's signed-rank test of paired differences. Differences of 0 say nothing and are left out.
pub fn signed_ranks(differences: &[f64]) -> f64 {
    let differences: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    if differences.is_empty() {
        return 1.0;
    }
    let sizes: Vec<f64> = differences.iter().map(|d| d.abs()).collect();
    let (ranks, ties) = ranks_doubled(&sizes);
    let signed = differences.iter().zip(&ranks);
    let sum: usize = signed.filter(|(d, _)| **d > 0.0).map(|(_, rank)| rank).sum();
    two_sided(sum, (differences.len(), 0), ties, || subset_sums(&ranks, None))
}

/// The two-sided p-value of Student's t-test that the mean of paired differences is 0.
pub fn paired_t(differences: &[f64]) -> f64 {
    if differences.len() < 2 {
        return 1.0;
    }
    let error = spread(differences) / (differences.len() as f64).sqrt();
    let mean = mean(differences);
    match error > 0.0 {
        true => t_two_sided(mean / error, differences.len() as f64 - 1.0),
        false if mean == 0.0 => 1.0,
        false => 0.0,
    }
}

/// The two-sided p-value of Welch's t-test that two means are the same.
pub fn welch_t(a: &[f64], b: &[f64]) -> f64 {
    if a.len() < 2 || b.len() < 2 {
        return 1.0;
    }
    let part = |side: &[f64]| spread(side).powi(2) / side.len() as f64;
    let (of_a, of_b) = (part(a), part(b));
    let shift = mean(b) - mean(a);
    if of_a + of_b == 0.0 {
        return if shift == 0.0 { 1.0 } else { 0.0 };
    }
    let below = of_a.powi(2) / (a.len() as f64 - 1.0) + of_b.powi(2) / (b.len() as f64 - 1.0);
    t_two_sided(shift / (of_a + of_b).sqrt(), (of_a + of_b).powi(2) / below)
}

/// The mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The standard deviation of what the values are a sample of; 0 of fewer than two.
pub fn spread(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len().max(2) - 1) as f64).sqrt()
}

/// The middle value, or the mean of the two in the middle; NaN of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    median_of(&mut values)
}

/// The same; the order of the values is lost.
fn median_of(values: &mut [f64]) -> f64 {
    let (middle, is_odd) = (values.len() / 2, values.len() % 2 == 1);
    if values.is_empty() {
        return f64::NAN;
    }
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    match is_odd {
        true => *upper,
        false => {
            let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            (lower + *upper) / 2.0
        }
    }
}

/// The estimate of Hodges and Lehmann of the middle of paired differences: the median of the means of all two. Nearly as
/// exact as the mean where noise is normal, and hardly moved by a run that a neighbour disturbed.
pub fn hodges_lehmann(differences: &[f64]) -> f64 {
    let mut means = Vec::with_capacity(differences.len() * (differences.len() + 1) / 2);
    for (index, one) in differences.iter().enumerate() {
        means.extend(differences[index..].iter().map(|other| (one + other) / 2.0));
    }
    median_of(&mut means)
}

/// The same of two samples that are not paired: the median of all differences from one of `a` to one of `b`.
pub fn hodges_lehmann_shift(a: &[f64], b: &[f64]) -> f64 {
    let mut shifts: Vec<f64> = a.iter().flat_map(|a| b.iter().map(move |b| b - a)).collect();
    median_of(&mut shifts)
}

/// Twice the rank of each value, ties sharing the mean of theirs; and whether there are ties.
fn ranks_doubled(values: &[f64]) -> (Vec<usize>, bool) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|one, other| values[*one].total_cmp(&values[*other]));
    let mut ranks = vec![0; values.len()];
    let mut ties = false;
    let mut from = 0;
    while from < order.len() {
        let same = |index: &&usize| values[**index] == values[order[from]];
        let count = order[from..].iter().take_while(same).count();
        ties |= count > 1;
        // Ranks from + 1 to from + count.
        order[from..from + count].iter().for_each(|index| ranks[*index] = 2 * from + count + 1);
        from += count;
    }
    (ranks, ties)
}

/// How likely each sum of ranks is if all subsets are alike: of `size` ranks, or of any number.
fn subset_sums(ranks: &[usize], size: Option<usize>) -> Vec<f64> {
    let total: usize = ranks.iter().sum();
    let rows = size.unwrap_or(0);
    let mut ways = vec![vec![0.0; total + 1]; rows + 1];
    ways[0][0] = 1.0;
    let mut reached = 0;
    for rank in ranks {
        reached += rank;
        if size.is_none() {
            for sum in (*rank..=reached).rev() {
                ways[0][sum] += ways[0][sum - rank];
            }
            continue;
        }
        for row in (1..=rows).rev() {
            let (lower, upper) = ways.split_at_mut(row);
            for sum in *rank..=reached {
                upper[0][sum] += lower[row - 1][sum - rank];
            }
        }
    }
    let mut ways = ways.pop().unwrap_or_default();
    let all: f64 = ways.iter().sum();
    ways.iter_mut().for_each(|count| *count /= all);
    ways
}

/// Twice the smaller tail at `sum`, at most 1.
fn two_sided(
    sum: usize,
    key: (usize, usize),
    ties: bool,
    compute: impl FnOnce() -> Vec<f64>,
) -> f64 {
    let tails = |likely: &[f64]| {
        let below: f64 = likely[..=sum].iter().sum();
        let above: f64 = likely[sum..].iter().sum();
        (2.0 * below.min(above)).min(1.0)
    };
    match ties {
        true => tails(&compute()),
        false => NULLS.with_borrow_mut(|nulls| tails(nulls.entry(key).or_insert_with(compute))),
    }
}

/// How likely Student's t is at least as far from 0 as `t`, on either side.
pub fn t_two_sided(t: f64, freedom: f64) -> f64 {
    incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5)
}

/// The t beyond which, on both sides together, lies `p`.
pub fn t_beyond(p: f64, freedom: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while t_two_sided(high, freedom) > p && high < 1e12 {
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        match t_two_sided(middle, freedom) > p {
            true => low = middle,
            false => high = middle,
        }
    }
    high
}

/// The regularized incomplete beta function, by Lentz's continued fraction (Abramowitz and Stegun, 26.5.8).
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges quickly on this side only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let front = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln();
    let away = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let (mut c, mut d) = (1.0, 1.0 / away(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for step in 1..500 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut last = 1.0;
        for term in [even, odd] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            last = c * d;
            fraction *= last;
        }
        if (last - 1.0).abs() < 1e-14 {
            break;
        }
    }
    front.exp() * fraction / a
}

/// The logarithm of the gamma function above 0: Stirling's series, exact to 1e-13 from 10 on, and stepped down to below.
fn ln_gamma(x: f64) -> f64 {
    if x < 10.0 {
        return ln_gamma(x + 1.0) - x.ln();
    }
    let square = x * x;
    let series =
        1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / (1680.0 * square)) / square) / square;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series / x
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 5e-5 * expected.abs().max(1e-3), "{value} {expected}");
    }

    /// Values `from..from + count`.
    fn run(from: u32, count: u32) -> Vec<f64> {
        (from..from + count).map(f64::from).collect()
    }

    #[test]
    fn mann_whitney_is_that_of_the_tables() {
        // Complete separation: 2 of C(n + m, n) orders.
        for (each, p) in [(3, 0.1), (4, 2.0 / 70.0), (5, 2.0 / 252.0), (7, 2.0 / 3432.0)] {
            near(mann_whitney(&run(0, each), &run(100, each)), p);
            near(mann_whitney(&run(100, each), &run(0, each)), p);
        }
        // Mann and Whitney's table: n = m = 5, P(U <= 2) = 0.016, P(U <= 3) = 0.028; U = 2 here.
        near(mann_whitney(&[1.0, 2.0, 3.0, 4.0, 7.0], &[5.0, 6.0, 8.0, 9.0, 10.0]), 8.0 / 252.0);
        near(mann_whitney(&[1.0, 2.0, 3.0, 4.0, 8.0], &[5.0, 6.0, 7.0, 9.0, 10.0]), 14.0 / 252.0);
        // The usual critical value for n = m = 20 at 0.05 is U = 127: 126.5 is in, 128 is out.
        let shifted = |by: f64| run(0, 20).iter().map(|x| x * 2.0 + by).collect::<Vec<_>>();
        let u = |a: &[f64], b: &[f64]| {
            a.iter().map(|a| b.iter().filter(|b| *b < a).count()).sum::<usize>()
        };
        let (low, high) = (shifted(0.0), shifted(9.0));
        assert!(u(&low, &high) < 127 && mann_whitney(&low, &high) < 0.05);
        let (low, high) = (shifted(0.0), shifted(7.0));
        assert!(u(&low, &high) > 127 && mann_whitney(&low, &high) > 0.05);
        assert_eq!(mann_whitney(&[], &[1.0]), 1.0);
    }

    #[test]
    fn ties_share_their_ranks() {
        assert_eq!(ranks_doubled(&[5.0, 1.0, 5.0]), (vec![5, 2, 5], true));
        assert_eq!(mann_whitney(&[1.0; 5], &[1.0; 5]), 1.0);
        // All 6 ways to choose 2 of the ranks 1.5, 1.5, 3, 4: one sum is as low as 3.
        near(mann_whitney(&[1.0, 1.0], &[2.0, 3.0]), 2.0 / 6.0);
    }

    #[test]
    fn signed_ranks_are_those_of_the_tables() {
        // All of one sign: 2 of 2^n.
        for (count, p) in [(5, 0.0625), (6, 0.03125), (10, 2.0 / 1024.0)] {
            near(signed_ranks(&run(1, count)), p);
        }
        // Wilcoxon's table: n = 10, W = 8 is the critical value at 0.05, with p = 0.0488.
        let mut differences = run(1, 10);
        differences[7] = -8.0;
        near(signed_ranks(&differences), 0.048_828);
        differences.push(0.0);
        near(signed_ranks(&differences), 0.048_828);
        assert_eq!(signed_ranks(&[0.0]), 1.0);
    }

    #[test]
    fn student_is_that_of_the_tables() {
        for (p, freedom, t) in [
            (0.05, 1.0, 12.7062),
            (0.05, 4.0, 2.776_45),
            (0.01, 10.0, 3.169_27),
            (0.001, 20.0, 3.849_52),
            (0.05, 1e7, 1.959_96),
        ] {
            near(t_two_sided(t, freedom), p);
            near(t_beyond(p, freedom), t);
        }
        // Student's own sleep data, 1908: t = 4.0621 with 9 degrees of freedom.
        let sleep = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4];
        near(paired_t(&sleep), 0.002_833);
        // The same as two samples, by Welch: t = 1.8608 with 17.776 degrees of freedom.
        let one = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let other = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        near(welch_t(&one, &other), 0.079_394);
        assert_eq!(
            (paired_t(&[0.0, 0.0]), paired_t(&[1.0, 1.0]), paired_t(&[1.0])),
            (1.0, 0.0, 1.0)
        );
    }

    #[test]
    fn estimates_are_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(&[]).is_nan());
        assert_eq!(hodges_lehmann(&[1.0, 2.0, 3.0, 4.0, 1000.0]), 3.0);
        assert_eq!(hodges_lehmann_shift(&[1.0, 2.0, 3.0], &[11.0, 12.0, 900.0]), 10.0);
        near(spread(&[1.0, 2.0, 3.0, 4.0]), 1.290_994);
    }
}
