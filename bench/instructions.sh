#!/usr/bin/env bash
# Counts the instructions of the produce and the fetch path and compares them with bench/instructions.tsv: exit 1 when
# one grew by more than 2 %. With --keep it writes them there. Built in a fixed way, in a target directory of its own,
# because other flags or features give other counts. Needs valgrind. Options are path-instructions' (--help).
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_INCREMENTAL=0 RUSTFLAGS="-C target-cpu=x86-64"
cargo build --quiet --release --package instructions --target-dir target/instructions-build
exec target/instructions-build/release/path-instructions "$@"
