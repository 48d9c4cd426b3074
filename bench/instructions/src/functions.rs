//! The dearest functions of a round, from callgrind's file.
//!
//! callgrind_annotate cannot do it: in a file that begins in the middle of a run it charges everything to the
//! functions that were running already.

use std::collections::BTreeMap;

/// Functions and their share of all instructions in the file, callees not included, the dearest first.
pub fn dearest(file: &str, most: usize) -> Vec<(String, f64)> {
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    let mut costs: BTreeMap<&str, u64> = BTreeMap::new();
    let mut current = "";
    let mut is_callee = false;
    for line in file.lines() {
        if let Some((number, name)) = named(line, "fn=").or_else(|| named(line, "cfn=")) {
            if !name.is_empty() {
                names.insert(number, name);
            }
            if line.starts_with("fn=") {
                current = number;
            }
        } else if line.starts_with("calls=") {
            is_callee = true;
        } else if let Some(cost) = cost(line)
            && !std::mem::take(&mut is_callee)
        {
            *costs.entry(current).or_default() += cost;
        }
    }
    let all = costs.values().sum::<u64>().max(1) as f64;
    let mut costs: Vec<_> = costs.into_iter().collect();
    costs.sort_unstable_by_key(|&(_, cost)| std::cmp::Reverse(cost));
    let name = |number| names.get(number).copied().unwrap_or(number).to_owned();
    costs.into_iter().take(most).map(|(of, cost)| (name(of), cost as f64 / all)).collect()
}

/// `fn=(12) name`, or `fn=(12)` for a name that was said before.
fn named<'a>(line: &'a str, key: &str) -> Option<(&'a str, &'a str)> {
    let (number, name) = line.strip_prefix(key)?.strip_prefix('(')?.split_once(')')?;
    Some((number, name.trim_start()))
}

/// `line cost`, where the line may be relative to the one before.
fn cost(line: &str) -> Option<u64> {
    let (place, cost) = line.split_once(' ')?;
    let is_place = place.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c));
    is_place.then(|| cost.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callees_are_not_charged_to_their_callers() {
        let file = "events: Ir\nfn=(1) caller\n10 30\ncfn=(2) callee\ncalls=1 20\n+1 60\n* 10\n\nfn=(2)\n20 60\n";
        let found = dearest(file, 5);
        assert_eq!(found, [("callee".to_owned(), 0.6), ("caller".to_owned(), 0.4)]);
    }
}
