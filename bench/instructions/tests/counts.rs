//! Does the counting of instructions work, and does it give the same twice? The build of the tests is counted, so what
//! the counts are says nothing here: they are compared with what is kept by bench/instructions.sh.

use std::path::{Path, PathBuf};

use instructions::case::{Case, named};
use instructions::count::{Run, count, has_valgrind};

/// What two counts of the same code may differ by. It is below 0.01 even on a busy machine; more would say that something
/// else than the path is counted.
const DIFFERENCE_MAX: f64 = 0.05;

fn counted(name: &str, cases: &[Case]) -> Vec<f64> {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_path-instructions"));
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let counts = count(&Run { program, dir, rounds: 4 }, cases).expect("it counts");
    counts.iter().map(|count| count.instructions).collect()
}

#[test]
fn the_same_code_gives_the_same_counts() {
    if !has_valgrind() {
        assert!(
            std::env::var_os("REQUIRE_CLIENTS").is_none(),
            "there is no valgrind: tests/install-clients.sh installs it"
        );
        eprintln!("no instructions are counted: there is no valgrind");
        return;
    }
    let cases = ["produce-16x1KiB", "fetch-1x16KiB"];
    let cases = cases.map(|name| named(name).expect("the name of a case"));
    let first = counted("instructions-first", &cases);
    let second = counted("instructions-second", &cases);
    for ((case, first), second) in cases.iter().zip(&first).zip(&second) {
        let difference = (second / first - 1.0).abs();
        assert!(difference < DIFFERENCE_MAX, "{}: {first:.0}, then {second:.0}", case.name);
    }
    assert!(
        first.iter().all(|count| *count > 1_000.0),
        "a request takes its instructions: {first:?}"
    );
}
