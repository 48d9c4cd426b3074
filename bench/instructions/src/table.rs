//! The counts as a table, beside those that are kept.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};

use crate::count::Count;

/// Growth beyond this share of the kept count is named.
pub const GROWTH_MAX: f64 = 0.02;

/// Instructions per request by case.
pub type Kept = BTreeMap<String, f64>;

/// Reads the kept counts; none when there is no such file.
///
/// # Errors
/// When the file cannot be read or a line is not a name and a number.
pub fn load(path: &Path) -> Result<Kept, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text).map_err(|words| format!("{}: {words}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Kept::new()),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

fn parse(text: &str) -> Result<Kept, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let one = |line: &str| {
        let mut words = line.split('\t');
        let name = words.next().unwrap_or_default().to_owned();
        let count = words.next().and_then(|count| count.parse().ok());
        count.map(|count| (name, count)).ok_or_else(|| format!("no count in `{line}`"))
    };
    lines.map(one).collect()
}

/// Writes the counts to the kept ones.
///
/// # Errors
/// When the file cannot be written.
pub fn keep(path: &Path, counts: &[Count]) -> Result<(), String> {
    let mut text = String::from(
        "# Instructions per request, per record and per byte; written by bench/instructions.sh --keep.\n",
    );
    for count in counts {
        let (record, byte) = shares(count);
        let (name, request) = (count.case.name, count.instructions);
        let _ = writeln!(text, "{name}\t{request:.0}\t{record:.1}\t{byte:.3}");
    }
    std::fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// Instructions per record and per byte.
fn shares(count: &Count) -> (f64, f64) {
    let (records, bytes) = (count.case.records() as f64, count.case.bytes() as f64);
    (count.instructions / records, count.instructions / bytes)
}

/// All counts beside the kept ones.
pub fn table(counts: &[Count], kept: &Kept) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "case",
        "per request",
        "per record",
        "per byte",
        "rounds",
        "kept",
        "change",
        "file",
    ]);
    for count in counts {
        let (record, byte) = shares(count);
        let before = kept.get(count.case.name);
        table.add_row([
            count.case.name.to_owned(),
            format!("{:.0}", count.instructions),
            format!("{record:.0}"),
            format!("{byte:.3}"),
            format!("{:.0}", count.most),
            before.map_or("none".to_owned(), |before| format!("{before:.0}")),
            before.map_or(String::new(), |before| {
                format!("{:+.2} %", (count.instructions / before - 1.0) * 100.0)
            }),
            format!(".{}", count.part),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The dearest functions of each case, callees not included.
pub fn dearest(counts: &[Count]) -> String {
    let mut text = String::new();
    for count in counts {
        let _ = writeln!(text, "{}", count.case.name);
        for (function, share) in &count.dearest {
            let _ = writeln!(text, "  {:>5.1} %  {function}", share * 100.0);
        }
    }
    text
}

/// One sentence for each case that grew by more than [`GROWTH_MAX`].
pub fn grown(counts: &[Count], kept: &Kept) -> Vec<String> {
    let one = |count: &Count| {
        let before = *kept.get(count.case.name)?;
        let growth = count.instructions / before - 1.0;
        (growth > GROWTH_MAX).then(|| {
            format!(
                "{} grew by {:.1} %, from {before:.0} to {:.0} instructions per request: make \
                 it cheaper, or keep it (--keep) and say why",
                count.case.name,
                growth * 100.0,
                count.instructions
            )
        })
    };
    counts.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::ALL;

    fn counted(instructions: f64) -> Count {
        Count { case: ALL[0], instructions, most: instructions, part: 2, dearest: Vec::new() }
    }

    #[test]
    fn growth_beyond_the_bound_is_named_and_less_is_not() {
        let kept = Kept::from([(ALL[0].name.to_owned(), 1_000.0)]);
        let grown = |instructions| grown(&[counted(instructions)], &kept);
        assert!(grown(900.0).is_empty() && grown(1_019.0).is_empty());
        let named = grown(1_030.0);
        assert!(
            named.len() == 1 && named[0].starts_with("produce-1x1KiB grew by 3.0 %"),
            "{named:?}"
        );
    }

    #[test]
    fn kept_counts_are_read_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("kept.tsv");
        assert_eq!(load(&path), Ok(Kept::new()));
        keep(&path, &[counted(4_321.0)]).expect("kept");
        assert_eq!(load(&path), Ok(Kept::from([(ALL[0].name.to_owned(), 4_321.0)])));
        assert!(parse("produce\tmany").is_err());
    }
}
