#!/usr/bin/env bash
# Feeds latchd's decoders of outside bytes with inputs that grow by what they reach (libFuzzer), target by target; the
# stable Rust that builds latchd will do. What was reached is kept in the user's cache and gone on from. Ends with a table,
# and with 1 when an input crashed one: it names the file and the command that does it again.
#
# usage: fuzz.sh [TARGET…]     all of tests/fuzz/targets by default; T=60 seconds each

set -euo pipefail
cd "$(dirname "$0")/.."

readonly seconds=${T:-60}
readonly cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/latchd/fuzz
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/fuzz
export CARGO_TARGET_DIR
# What libFuzzer counts and compares by. Only what runs on the target gets it, hence the triple is named below. `fuzzing` is
# what makes libraries leave out checksums that would keep every damaged byte from going further.
export RUSTFLAGS='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing'

[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "fuzz.sh: T is a number of seconds, not $seconds" >&2 && exit 2; }
targets=("$@")
((${#targets[@]})) || mapfile -t targets < <(basename -s .rs -a tests/fuzz/targets/*.rs)
for target in "${targets[@]}"; do
    [[ -e tests/fuzz/targets/$target.rs ]] || { echo "fuzz.sh: no target is called $target" >&2 && exit 2; }
done
command -v c++ >/dev/null || { echo 'fuzz.sh: libFuzzer needs a C++ compiler; please install g++' >&2 && exit 1; }

triple=$(rustc -vV | sed -n 's/^host: //p')
cargo build --release --locked --manifest-path tests/fuzz/Cargo.toml --target "$triple" --bins
programs=$(realpath "$CARGO_TARGET_DIR/$triple/release")

# Longest input in bytes: longer ones cost time and show nothing new.
longest() {
    case $1 in
    guard) echo 80 ;;
    raw) echo 512 ;;
    callback) echo 1024 ;;
    *) echo 4096 ;;
    esac
}

table=() crashed=0
for target in "${targets[@]}"; do
    corpus=$cache/corpus/$target crashes=$cache/crashes/$target log=$cache/$target.log
    mkdir -p "$corpus" "$crashes"
    printf '\n== %s, %d s (%s)\n' "$target" "$seconds" "$log"
    begin=$SECONDS found=0
    # Crashes of runs before are tried before anything new: what was mended becomes a seed.
    "$programs/$target" -max_total_time="$seconds" -max_len="$(longest "$target")" -timeout=20 -rss_limit_mb=1024 \
        -print_final_stats=1 -artifact_prefix="$crashes/" "$corpus" "$crashes" "tests/fuzz/seeds/$target" \
        >"$log" 2>&1 || found=1
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    reached=$(grep -oE 'cov: [0-9]+ ft: [0-9]+' "$log" | tail -n 1 || true)
    table+=("$(printf '%-9s %10d runs %5d s  %s  %d crashes' "$target" "${runs:-0}" $((SECONDS - begin)) \
        "${reached:-cov: 0 ft: 0}" $found)")
    echo "${table[-1]}"
    if ((found)); then
        crashed=1
        file=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
        grep -m 3 -E 'panicked at|ERROR: libFuzzer|^assertion' "$log" || tail -n 20 "$log"
        echo "again with: $programs/$target ${file:-(no input was written; see $log)}"
    fi
done

printf '\n== targets\n'
printf '%s\n' "${table[@]}"
exit $crashed
