//! Runs the program under callgrind and reads what it counted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::case::Case;
use crate::drive::PARTS;
use crate::functions::dearest;

/// Functions named of each case.
const DEAREST: usize = 5;

/// Large copies as loops of vector instructions: of a `rep movsb` valgrind counts every byte as an instruction.
const COPY_IN_LOOPS: &str = "glibc.cpu.x86_rep_movsb_threshold=1073741824:\
    glibc.cpu.x86_rep_stosb_threshold=1073741824";

/// How to count.
pub struct Run {
    /// This program.
    pub program: PathBuf,
    /// A directory for the data, which is removed, and for callgrind's files, which stay. It is emptied first.
    pub dir: PathBuf,
    /// How often each case is counted.
    pub rounds: usize,
}

/// What was counted of one case.
#[derive(Clone, Debug)]
pub struct Count {
    /// The case.
    pub case: Case,
    /// Instructions per request in the cheapest round: whatever else goes on only ever adds turns of the shard's loop.
    pub instructions: f64,
    /// The same in the dearest round.
    pub most: f64,
    /// The number of callgrind's file with the cheapest round.
    pub part: usize,
    /// The dearest functions of that round, and their share of it.
    pub dearest: Vec<(String, f64)>,
}

/// Whether there is a valgrind to count with.
pub fn has_valgrind() -> bool {
    let quiet = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// Counts all cases.
///
/// # Errors
/// When valgrind is missing or the program under it fails; in words.
pub fn count(run: &Run, cases: &[Case]) -> Result<Vec<Count>, String> {
    if !has_valgrind() {
        return Err("there is no valgrind: install it (Debian: apt-get install valgrind)".into());
    }
    let at = |what: &str, path: &Path, e| format!("cannot {what} {}: {e}", path.display());
    if run.dir.exists() {
        fs::remove_dir_all(&run.dir).map_err(|e| at("remove", &run.dir, e))?;
    }
    fs::create_dir_all(&run.dir).map_err(|e| at("make", &run.dir, e))?;
    let names: Vec<&str> = cases.iter().map(|case| case.name).collect();
    let mut command = Command::new("valgrind");
    command
        .env("GLIBC_TUNABLES", COPY_IN_LOOPS)
        .args(["--quiet", "--tool=callgrind", "--dump-before=*round_boundary*"])
        .arg(format!("--callgrind-out-file={}", run.dir.join("callgrind.out").display()))
        .arg(&run.program)
        .arg("--drive")
        .args(["--cases", &names.join(","), "--rounds", &run.rounds.to_string(), "--dir"])
        .arg(&run.dir);
    let output = command.output().map_err(|e| format!("cannot run valgrind: {e}"))?;
    let removed = fs::remove_dir_all(run.dir.join("data"));
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!("under valgrind: {}: {}", output.status, words.trim()));
    }
    removed.map_err(|e| at("remove", &run.dir.join("data"), e))?;
    let mut rounds = read_rounds(&run.dir)?;
    let one = |case: &Case| {
        let rounds = rounds.remove(case.name).unwrap_or_default();
        let cheapest = cheapest(case, rounds);
        let mut count = cheapest.ok_or_else(|| format!("{} was not counted", case.name))?;
        count.dearest = dearest(&read(&part_file(&run.dir, count.part))?, DEAREST);
        Ok(count)
    };
    cases.iter().map(one).collect()
}

/// The parts and the instructions in each, by case.
fn read_rounds(dir: &Path) -> Result<BTreeMap<String, Vec<(usize, u64)>>, String> {
    let parts = read(&dir.join(PARTS))?;
    let mut rounds: BTreeMap<String, Vec<(usize, u64)>> = BTreeMap::new();
    for line in parts.lines() {
        let (part, name) = line.split_once('\t').ok_or_else(|| format!("in {PARTS}: {line}"))?;
        let part: usize = part.parse().map_err(|e| format!("in {PARTS}: {line}: {e}"))?;
        let file = part_file(dir, part);
        let instructions = instructions(&read(&file)?)
            .ok_or_else(|| format!("no summary in {}", file.display()))?;
        rounds.entry(name.to_owned()).or_default().push((part, instructions));
    }
    Ok(rounds)
}

fn part_file(dir: &Path, part: usize) -> PathBuf {
    dir.join(format!("callgrind.out.{part}"))
}

fn read(path: &Path) -> Result<String, String> {
    let words = |e| format!("cannot read {}: {e}", path.display());
    // Symbols of other languages need not be UTF-8.
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(words)
}

/// What a file of callgrind's says was executed.
fn instructions(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("summary:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn cheapest(case: &Case, rounds: Vec<(usize, u64)>) -> Option<Count> {
    let per_request = |instructions: u64| instructions as f64 / case.requests as f64;
    let &(part, least) = rounds.iter().min_by_key(|&&(_, instructions)| instructions)?;
    let most = rounds.iter().map(|&(_, instructions)| instructions).max()?;
    let (instructions, most) = (per_request(least), per_request(most));
    Some(Count { case: *case, instructions, most, part, dearest: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::ALL;

    #[test]
    fn the_summary_is_found_among_the_headers() {
        let file = "version: 1\npart: 2\nevents: Ir\nsummary: 123456\n\nfn=(1) x\n3 9\ntotals: 7\n";
        assert_eq!(instructions(file), Some(123_456));
        assert_eq!(instructions("events: Ir\n"), None);
    }

    #[test]
    fn the_cheapest_round_stands_for_the_case() {
        let case = Case { requests: 10, ..ALL[0] };
        let count = cheapest(&case, vec![(2, 900), (4, 100), (6, 500)]).expect("three rounds");
        assert_eq!((count.instructions, count.part, count.most), (10.0, 4, 90.0));
        assert!(cheapest(&case, Vec::new()).is_none());
    }
}
