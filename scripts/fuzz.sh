#!/usr/bin/env bash
# Runs every fuzz target for a while, one after the other, and prints a table.
#
#   scripts/fuzz.sh            # one minute each
#   scripts/fuzz.sh 60         # an hour each
#   scripts/fuzz.sh 10 answers # ten minutes of one
#
# Needs a nightly toolchain and a C++ compiler; not cargo-fuzz, though `cargo fuzz run TARGET` works on the same targets.
# What is found interesting is kept in fuzz/corpus/TARGET (not in git); it begins with fuzz/seeds/TARGET (in git). An input
# that crashes, hangs (more than a minute) or takes more than 2 GB is kept in fuzz/artifacts/TARGET, and ends that target.
# Exit code 1 if there was one.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${1:-1}
[ $# -gt 0 ] && shift
case $minutes in
'' | *[!0-9]* | 0)
    echo "usage: scripts/fuzz.sh [MINUTES] [TARGET...]; \"$minutes\" is not a number of minutes" >&2
    exit 2
    ;;
esac
all=$(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | grep -v '^rowtwin-fuzz$')
targets=${*:-$all}

host=$(rustc +nightly -vV | sed -n 's/^host: //p')
# The versions that the program itself is built with.
[ -f fuzz/Cargo.lock ] || cp Cargo.lock fuzz/Cargo.lock
# What cargo-fuzz asks of the compiler: counters, so that an input that reaches something new is seen. No sanitizer,
# since there is no unsafe code of ours to watch.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
cargo +nightly build --quiet --release --manifest-path fuzz/Cargo.toml --target-dir fuzz/target --target "$host"

failed=0
table=""
for target in $targets; do
    corpus=fuzz/corpus/$target artifacts=fuzz/artifacts/$target seeds=fuzz/seeds/$target
    mkdir -p "$corpus" "$artifacts" $seeds
    log=$artifacts/log
    # our own connectors are where that target begins
    [ "$target" = manifest ] && seeds+=" connectors"
    words=""
    [ -f "fuzz/seeds/$target.dict" ] && words="-dict=fuzz/seeds/$target.dict"
    echo "$target: $minutes min" >&2
    verdict=ok
    # shellcheck disable=SC2086 # several folders; no dictionary is no argument
    if ! "fuzz/target/$host/release/$target" "$corpus" $seeds $words -artifact_prefix="$artifacts/" \
        -max_total_time=$((minutes * 60)) -timeout=60 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
        >"$log" 2>&1; then
        verdict=CRASH
        failed=1
    fi
    said() { sed -n "s/^stat::$1: *//p" "$log" | tail -n 1; }
    covered=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    table+=$(printf '%-10s %12s %10s %8s %8s %8s  %s' "$target" "$(said number_of_executed_units)" \
        "$(said average_exec_per_sec)" "${covered:-?}" "$(find "$corpus" -type f | wc -l)" \
        "$(said peak_rss_mb)" "$verdict")$'\n'
    [ "$verdict" = ok ] || table+="           see $log"$'\n'
done
printf '%-10s %12s %10s %8s %8s %8s  %s\n%s' target executions 'per sec' edges corpus 'MB peak' result "$table"
exit "$failed"
