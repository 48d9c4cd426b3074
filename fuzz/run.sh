#!/usr/bin/env bash
# Runs fuzz targets one after the other, each for so many seconds, and says what each did.
#   fuzz/run.sh [SECONDS [TARGET...]]     300 and all of them unless told otherwise
# Needs a nightly toolchain, a C++ compiler and `cargo install cargo-fuzz`. New inputs go to fuzz/target/work/<target>;
# then `fuzz/run.sh 0 [TARGET...]` puts the least of them that reach the same code into fuzz/corpus/<target>.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-300}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(basename -s .rs fuzz_targets/*.rs)

cargo +nightly fuzz build --fuzz-dir . >/dev/null
binaries=target/$(rustc -vV | sed -n 's/^host: //p')/release
export ASAN_OPTIONS=detect_leaks=0
TIMEFORMAT='%U user + %S system seconds of CPU'
limits=(-rss_limit_mb=512 -malloc_limit_mb=64 -timeout=10 -max_len=1500)

for target in "${targets[@]}"; do
  work=target/work/$target
  mkdir -p "$work" "artifacts/$target"
  cp -n "corpus/$target"/* "$work"/
  echo "== $target"
  if [ "$seconds" = 0 ]; then
    rm -rf "target/least/$target" && mkdir -p "target/least/$target"
    "$binaries/$target" -set_cover_merge=1 -use_counters=0 "${limits[@]}" "target/least/$target" "$work" 2>&1 | tail -1
    find "corpus/$target" -type f ! -name 'regression-*' ! -name 'seed-*' -delete
    cp -n "target/least/$target"/* "corpus/$target"/
    du -sh --apparent-size "corpus/$target"
    continue
  fi
  time nice -n 19 "$binaries/$target" "$work" "${limits[@]}" -max_total_time="$seconds" -print_final_stats=1 \
    -artifact_prefix="artifacts/$target/" >"$work.log" 2>&1 || echo "broke a rule: see $work.log and artifacts/$target"
  grep -E 'cov: ' "$work.log" | tail -1
  grep -E 'number_of_executed_units|peak_rss' "$work.log"
done
