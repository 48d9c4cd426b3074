//! A strict reader of OpenMetrics text: what the specification forbids fails the test that reads it.

use std::collections::{BTreeMap, BTreeSet};

/// The families of one page, by name.
#[derive(Debug, Default)]
pub struct Page(pub BTreeMap<String, Family>);

/// One family.
#[derive(Debug, Default)]
pub struct Family {
    /// `counter`, `gauge`, `histogram` or `info`.
    pub kind: String,
    /// What it means.
    pub help: String,
    /// Its samples, in order.
    pub samples: Vec<Sample>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The name behind the family's: `_total`, `_bucket`, or nothing.
    pub suffix: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl Page {
    /// Reads a page.
    ///
    /// # Panics
    /// When it breaks a rule; says which, and where.
    pub fn read(text: &str) -> Page {
        let mut page = Page::default();
        let mut current: Option<String> = None;
        let body = text.strip_suffix("# EOF\n").expect("a page ends with # EOF");
        for line in body.lines() {
            match line.strip_prefix("# ") {
                Some(comment) => {
                    let (what, rest) = comment.split_once(' ').expect("HELP or TYPE");
                    let (name, text) = rest.split_once(' ').expect("a name and a text");
                    assert!(is_name(name), "{line}");
                    if current.as_deref() != Some(name) {
                        let new = page.0.insert(name.to_owned(), Family::default()).is_none();
                        assert!(new, "{name} comes twice");
                        current = Some(name.to_owned());
                    }
                    let family = page.0.get_mut(name).expect("it was just made");
                    assert!(family.samples.is_empty(), "{line} comes after samples");
                    match what {
                        "HELP" => family.help = text.to_owned(),
                        "TYPE" => family.kind = text.to_owned(),
                        _ => panic!("{line}"),
                    }
                }
                None => {
                    let name = current.as_deref().expect("a sample comes after its family");
                    let family = page.0.get_mut(name).expect("it is there");
                    family.samples.push(sample(name, line));
                }
            }
        }
        page.0.iter().for_each(|(name, family)| check(name, family));
        page
    }

    /// The sum of all samples of a counter or gauge that have these labels.
    ///
    /// # Panics
    /// When there is none.
    pub fn sum(&self, family: &str, labels: &[(&str, &str)]) -> f64 {
        let family = self.0.get(family).unwrap_or_else(|| panic!("there is no {family}"));
        let has = |sample: &&Sample| {
            labels.iter().all(|(name, value)| sample.labels.get(*name).is_some_and(|v| v == value))
        };
        let found: Vec<f64> = family.samples.iter().filter(has).map(|s| s.value).collect();
        assert!(!found.is_empty(), "no sample has {labels:?}");
        found.iter().sum()
    }
}

fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn sample(family: &str, line: &str) -> Sample {
    let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
    let (name, labels) = match name.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').expect("labels end with a brace")),
        None => (name, ""),
    };
    assert!(is_name(name), "{line}");
    let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{line} is not of {family}"));
    let mut found = BTreeMap::new();
    let mut rest = labels;
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").expect("a label has a value");
        assert!(is_name(label), "{line}");
        // No label of ours has anything to escape.
        let (value, after) = after.split_once('"').expect("a value ends with a quote");
        assert!(!value.contains(['\\', '\n']), "{line}");
        assert!(found.insert(label.to_owned(), value.to_owned()).is_none(), "{line}");
        rest = after.strip_prefix(',').unwrap_or(after);
        assert!(rest.is_empty() == (after.is_empty()), "{line}");
    }
    let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}: no number"));
    assert!(value.is_finite(), "{line}");
    Sample { suffix: suffix.to_owned(), labels: found, value }
}

fn check(name: &str, family: &Family) {
    assert!(!family.help.is_empty(), "{name} does not say what it means");
    let allowed: &[&str] = match family.kind.as_str() {
        "counter" => &["_total"],
        "gauge" => &[""],
        "info" => &["_info"],
        "histogram" => &["_bucket", "_sum", "_count"],
        kind => panic!("{name} is a {kind}"),
    };
    let mut seen = BTreeSet::new();
    for sample in &family.samples {
        assert!(allowed.contains(&sample.suffix.as_str()), "{name}: {sample:?}");
        assert!(seen.insert((&sample.suffix, &sample.labels)), "{name} twice: {sample:?}");
        assert!(family.kind == "gauge" || sample.value >= 0.0, "{name}: {sample:?}");
    }
    if family.kind == "histogram" {
        check_histogram(name, family);
    }
}

/// Buckets ascend and are cumulative, and the last one holds all.
fn check_histogram(name: &str, family: &Family) {
    let mut buckets: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
    let mut counts = BTreeMap::new();
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        let bound = labels.remove("le");
        match sample.suffix.as_str() {
            "_bucket" => {
                let bound = match bound.expect("a bucket has a bound").as_str() {
                    "+Inf" => f64::INFINITY,
                    bound => bound.parse().expect("a bound is a number"),
                };
                buckets.entry(labels).or_default().push((bound, sample.value));
            }
            "_count" => {
                counts.insert(labels, sample.value);
            }
            _ => {}
        }
    }
    assert_eq!(buckets.len(), counts.len(), "{name}");
    for (labels, buckets) in buckets {
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name} {labels:?}");
        let last = buckets.last().expect("a histogram has buckets");
        assert_eq!(*last, (f64::INFINITY, counts[&labels]), "{name} {labels:?}");
    }
}
