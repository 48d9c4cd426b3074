//! An item that a request names twice is answered once, as Kafka does: its clients look answers up
//! by name.

use std::collections::BTreeSet;

/// The answers without those whose key was seen before.
pub fn once<K: Ord + Clone, V>(
    answers: impl Iterator<Item = (K, V)>,
) -> impl Iterator<Item = (K, V)> {
    let mut seen = BTreeSet::new();
    answers.filter(move |(key, _)| seen.insert(key.clone()))
}
