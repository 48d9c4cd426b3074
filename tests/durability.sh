#!/usr/bin/env bash
# The full counts of every durability suite, one after the other; the ordinary test run makes fewer of each.
#
#   tests/durability.sh                    all suites; plan some hours for them
#   tests/durability.sh power_cut crash    these, again or alone
#   tests/durability.sh --list             their names and counts
#
# Prints a table, and keeps it in docs/operate/durability-last-run.md: suites that were not run keep the row of their last
# run, with its revision and date. Logs of the suites go to target/durability/. Needs root (loop devices, mounts), the
# packages that tests/install-clients.sh installs, and about 30 GB on the disk for `restart`, 2 GB for the rest. Several
# calls with different suites may run at once. HEDDLE_PROGRAM is a release build for `restart` to measure as it is.
set -uo pipefail
cd "$(dirname "$0")/.."
logs=target/durability
page=docs/operate/durability-last-run.md
export CARGO_TERM_COLOR=never REQUIRE_CLIENTS=1 RUST_BACKTRACE=0
export PATH=$PATH:/usr/sbin:/sbin

suites=(simulation corpora damage flush_counter crash power_cut failing_disk full_disk restart)
# The counts; whoever wants other ones sets them.
export HEDDLE_SIM_SEEDS=${HEDDLE_SIM_SEEDS:-20000}
export HEDDLE_DAMAGE_FAULTS=${HEDDLE_DAMAGE_FAULTS:-10000}
export FUZZ_MUTANTS=${FUZZ_MUTANTS:-500}
export HEDDLE_KILLS=${HEDDLE_KILLS:-300}
export HEDDLE_POWER_CUTS=${HEDDLE_POWER_CUTS:-120}
export HEDDLE_FAILING_DISK_RUNS=${HEDDLE_FAILING_DISK_RUNS:-20}
export HEDDLE_FULL_DISK_CYCLES=${HEDDLE_FULL_DISK_CYCLES:-20}
gigabytes=${HEDDLE_RESTART_GIGABYTES:-10}

count_of() {
  case $1 in
    simulation) echo "$HEDDLE_SIM_SEEDS seeds; each planted bug" ;;
    corpora) echo "every corpus, $FUZZ_MUTANTS mutants of each input" ;;
    damage) echo "$HEDDLE_DAMAGE_FAULTS faults" ;;
    flush_counter) echo "2 file systems, 2 flush primitives" ;;
    crash) echo "$HEDDLE_KILLS kills" ;;
    power_cut) echo "$HEDDLE_POWER_CUTS power cuts" ;;
    failing_disk) echo "$HEDDLE_FAILING_DISK_RUNS runs of each of 3 kinds" ;;
    full_disk) echo "$HEDDLE_FULL_DISK_CYCLES cycles on each of 2 file systems" ;;
    restart) echo "$gigabytes GB, 5 restarts" ;;
  esac
}

needs() {
  local missing=()
  for tool in "$@"; do command -v "$tool" >/dev/null || missing+=("$tool"); done
  if [ ${#missing[@]} -gt 0 ]; then
    echo "missing: ${missing[*]}. tests/install-clients.sh installs what these suites need" >&2
    return 1
  fi
}

needs_disks() {
  needs losetup mount umount findmnt fallocate mkfs.ext4 mkfs.xfs python3 || return 1
  [ "$(id -u)" = 0 ] || { echo "loop devices and mounts take root: run it with sudo" >&2; return 1; }
}

run_suite() {
  case $1 in
    simulation) cargo test -p simulation ;;
    corpora) cargo test -p fuzz-bodies ;;
    damage) cargo test -p storage --test damage --test damage_torn && cargo test -p tests --test damage ;;
    crash) needs python3 && cargo test -p tests --test crash ;;
    flush_counter | power_cut | failing_disk | full_disk) needs_disks && cargo test -p tests --test "$1" ;;
    restart)
      [ -n "${HEDDLE_PROGRAM:-}" ] || cargo build --release -p broker || return 1
      cargo build -p tests &&
        target/debug/measure-restart "${HEDDLE_PROGRAM:-target/release/heddle}" --gigabytes "$gigabytes" --rounds 5
      ;;
  esac
}

revision=$(git rev-parse --short HEAD)
[ -z "$(git status --porcelain -uno -- . ":!$page")" ] || revision="$revision+changes"
today=$(date -u +%F)

# The row that the page has of a suite, if it has one.
old_row() { [ -f "$page" ] && grep -m1 "^| $1 |" "$page"; }

old_restart() {
  [ ! -f "$page" ] || sed -n '/^## Restart/,$p' "$page" | sed -n '3,$p'
}

# Writes the page anew with the row of the suite that has just ended; all others keep theirs.
write_page() (
  fresh=$page.new
  flock 9
  mkdir -p "$(dirname "$page")"
  kept=$(if [ "$1" = restart ] && [ -f "$logs/restart.table" ]; then cat "$logs/restart.table"; else old_restart; fi)
  {
    echo "# Durability: the last full run"
    echo
    echo "<!-- Written by tests/durability.sh: run it again instead of changing this page. -->"
    echo
    echo "Host of the newest rows: $(nproc) cores, $(awk '/MemTotal/{printf "%.0f GiB", $2/1048576}' /proc/meminfo) memory," \
      "Linux $(uname -r), build directory on $(findmnt -no FSTYPE -T . 2>/dev/null || echo 'a file system unknown');"
    echo "loop devices with ext4 ($(mkfs.ext4 -V 2>&1 | head -1)) and XFS ($(mkfs.xfs -V 2>/dev/null))."
    echo "Minutes include what had to be compiled. Other work on the host makes them longer."
    echo
    echo "| suite | count | result | minutes | revision | date |"
    echo "|---|---|---|---|---|---|"
    for suite in "${suites[@]}"; do
      if [ "$suite" = "$1" ]; then
        cat "$logs/$suite.row"
        continue
      fi
      old_row "$suite" || echo "| $suite | | not run yet | | | |"
    done
    if [ -n "$kept" ]; then
      printf '\n## Restart\n\n%s\n' "$kept"
    fi
  } >"$fresh"
  mv "$fresh" "$page"
) 9>"$logs/page.lock"

# `measure-restart` prints a table, and around it cargo speaks.
keep_restart_table() {
  {
    echo "After \`kill -9\` under load, page cache dropped; two shards, default settings otherwise, $today,"
    echo "by $("${HEDDLE_PROGRAM:-target/release/heddle}" --version | head -1). Load of the host before: $load."
    echo "Goal: within 2 s. The journal is as full as such a load makes it: a checkpoint is due at a third. Measured by \`measure-restart\` (\`tests/src/bin/measure_restart.rs\`)."
    echo
    grep '^|' "$logs/restart.log"
  } >"$logs/restart.table"
}

wanted=("$@")
if [ "${1:-}" = --list ]; then
  for suite in "${suites[@]}"; do printf '%-14s %s\n' "$suite" "$(count_of "$suite")"; done
  exit 0
fi
[ $# -gt 0 ] || wanted=("${suites[@]}")
for suite in "${wanted[@]}"; do
  if [ -z "$(count_of "$suite")" ]; then
    echo "no suite is called $suite; there are: ${suites[*]}" >&2
    exit 2
  fi
done

mkdir -p "$logs"
failed=()
for suite in "${wanted[@]}"; do
  printf '== %s: %s (%s)\n' "$suite" "$(count_of "$suite")" "$(date +%T)"
  began=$SECONDS
  [ "$suite" != restart ] || rm -f "$logs/restart.table"
  load=$(cut -d' ' -f1 /proc/loadavg)
  if run_suite "$suite" >"$logs/$suite.log" 2>&1; then
    result=passed
    [ "$suite" != restart ] || { result=measured; keep_restart_table; }
  else
    result=FAILED
    failed+=("$suite")
    tail -n 40 "$logs/$suite.log"
    echo "(the whole log: $logs/$suite.log)"
  fi
  minutes=$(awk -v seconds=$((SECONDS - began)) 'BEGIN { printf "%.1f", seconds / 60 }')
  echo "| $suite | $(count_of "$suite") | $result | $minutes | $revision | $today |" >"$logs/$suite.row"
  write_page "$suite"
done

echo
sed -n '/^| suite/,/^$/p' "$page"
old_restart
if [ ${#failed[@]} -gt 0 ]; then
  echo "FAILED: ${failed[*]}"
  exit 1
fi
