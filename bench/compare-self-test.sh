#!/usr/bin/env bash
# Shows that `heddle bench compare` works, on a machine that has nothing else to do:
#   1. A binary compared with itself, SELF times: no comparison may find a change (exit 3, or an improvement).
#   2. 5 % planted in processor time per request: a regression of cpu-per-request.
#   3. 5 % planted in the median service time: a regression of service-p50.
# The slow-down is a busy wait per produce request in a build of its own (Cargo feature `planted`, broker/src/planted.rs); its
# length is 5 % of what a few runs of the same binary measure first.
#
# usage: bench/compare-self-test.sh OUT_DIR      knobs, with their defaults:
#   SELF=20 TIME=2s WARM_UP=500ms RATE=20000 PLANTED=5 PAIRS=5 PAIRS_MAX=160 SELF_PAIRS_MAX=10 HEDDLE=binary (built when not given)
#   GATE=throughput,cpu-per-request,service-p50 (of 1.)    SETTINGS=,ack.durability=memory,shards=1 (of the brokers)
#   SPINNING=,shard.spin.us=10000 (further settings of 3.)  FLAGS="--producers 8 --consumers 0 --threads 1 --cores 1" (of the loads)
# What scatters by more than 5 % on both sides alike is left out by default: the device; in 3. the wake-ups; threads that move
# from processor to processor. Runs are short, because many short pairs find more than few long ones where a machine's speed drifts.
# Prints a table and writes it with every comparison's JSON to OUT_DIR; goes on where it was interrupted. Needs cargo and
# python3.
set -euo pipefail
out=${1:?usage: $0 OUT_DIR}
root=$(cd "$(dirname "$0")/.." && pwd)
self=${SELF:-20} time=${TIME:-2s} warm_up=${WARM_UP:-500ms} rate=${RATE:-20000} planted=${PLANTED:-5}
pairs=${PAIRS:-5} pairs_max=${PAIRS_MAX:-160} self_pairs_max=${SELF_PAIRS_MAX:-10} gate=${GATE:-throughput,cpu-per-request,service-p50}
mkdir -p "$out"
out=$(cd "$out" && pwd)
heddle=${HEDDLE:-}
if [ -z "$heddle" ]; then
  # In a directory of its own: the shipped binary stays what it is.
  cargo build --release --manifest-path "$root/Cargo.toml" -p broker --features broker/planted --target-dir "$root/target/planted"
  heddle=$root/target/planted/release/heddle
fi
read -ra flags <<<"--rate $rate --time $time --warm-up $warm_up ${FLAGS---producers 8 --consumers 0 --threads 1 --cores 1}"

broker=heddle=$heddle${SETTINGS-,ack.durability=memory,shards=1}
spinning=$broker${SPINNING-,shard.spin.us=10000}

compare() { # NAME A B: one comparison, if it was not made before; its exit code goes to NAME/exit
  local name=$1 code=0
  [ ! -e "$out/$name/exit" ] || return 0
  mkdir -p "$out/$name"
  "$heddle" bench compare "$2" "$3" "${flags[@]}" --pairs "$pairs" --pairs-max "$pairs_max" --gate "$gate" \
    --data "$out" --save "$out/$name" >"$out/$name/printed.txt" 2>"$out/$name/log.txt" || code=$?
  echo "$code" >"$out/$name/exit"
  echo "$name: exit $code: $(tail -n 1 "$out/$name/printed.txt")"
}

figure() { # COMPARISON METRIC: the median of its runs, A and B being the same
  python3 - "$out/$1/comparison.json" "$2" <<'P'
import json, sys
metrics = json.load(open(sys.argv[1]))["metrics"]
print(next((one["a"] + one["b"]) / 2 for one in metrics if one["metric"] == sys.argv[2]))
P
}

spin() { # FIGURE in us: PLANTED percent of it in ns
  python3 -c "print(round($1 * 1000 * $planted / 100))"
}

# What is planted decides alone: every further metric asks for more pairs.
gate_of_all=$gate pairs_max_of_all=$pairs_max pairs_max=5 gate=cpu-per-request
compare calibration-cpu "$broker" "$broker"
gate=service-p50
compare calibration-service "$spinning" "$spinning"
cpu=$(figure calibration-cpu cpu-per-request) service=$(figure calibration-service service-p50)
echo "processor time per request $cpu us, median service time of a spinning broker $service us"

pairs_max=$pairs_max_of_all gate=cpu-per-request
compare planted-cpu "$broker" "$broker,env:HEDDLE_PLANTED_SPIN_NS=$(spin "$cpu")"
gate=service-p50
compare planted-service "$spinning" "$spinning,env:HEDDLE_PLANTED_SPIN_NS=$(spin "$service")"
gate=$gate_of_all
pairs_max=$self_pairs_max
for number in $(seq 1 "$self"); do
  compare "self-$number" "$broker" "$broker"
done

python3 - "$out" "$planted" <<'P' | tee "$out/table.md"
import json, os, sys
out, planted = sys.argv[1], sys.argv[2]
names = [name for name in os.listdir(out) if os.path.exists(f"{out}/{name}/comparison.json") and not name.startswith("calibration")]
names.sort(key=lambda name: (name.startswith("self"), name if not name.startswith("self") else f"{int(name[5:]):05}"))
print(f"Planted: {planted} % of the processor time per request, and {planted} % of the median service time.\n")
print("| comparison | pairs | metric | change [95 % interval] | p | verdict |")
print("|---|---|---|---|---|---|")
invented, found = 0, {}
for name in names:
    comparison = json.load(open(f"{out}/{name}/comparison.json"))
    for one in comparison["metrics"]:
        if not one["decides"]:
            continue
        verdict = one["verdict"] if isinstance(one["verdict"], str) else "inconclusive"
        low, high = (f"{100 * end:+.1f}" for end in one["interval"] or (float("nan"), float("nan")))
        print(f"| {name} | {len(comparison['a_runs'])} | {one['metric']} | {100 * one['change']:+.1f} % [{low}, {high}] "
              f"| {one['p']:.2g} | {verdict.replace('_', ' ')} |")
        if name.startswith("self"):
            invented += verdict in ("regression", "improvement")
        elif verdict == "regression":
            found.setdefault(name, []).append(one["metric"])
selves = sum(name.startswith("self") for name in names)
missed = [name for name, metric in (("planted-cpu", "cpu-per-request"), ("planted-service", "service-p50"))
          if metric not in found.get(name, [])]
print(f"\n{selves} comparisons of a binary with itself invented {invented} changes; "
      f"planted and missed: {', '.join(missed) or 'nothing'}.")
sys.exit(1 if invented or missed else 0)
P
