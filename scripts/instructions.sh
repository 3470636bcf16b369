#!/usr/bin/env bash
# Counts the instructions of a followed frame of 1280x720 YUYV (one pass of the network, all measures, the digest) and holds
# them to a bound. A count has no noise, so that what becomes slower is seen on any machine, however busy.
#
# usage: instructions.sh LATCHD     77 when this machine cannot count

set -euo pipefail
cd "$(dirname "$0")/.."

# 27.0 million (docs/benchmarks.md), and 5 % for another compiler.
readonly most=28500000 few=1 many=9
latchd=${1:?usage: instructions.sh LATCHD}

skip() {
    printf '!! SKIPPED: %s: the instructions of a frame were NOT counted\n' "$1"
    exit 77
}
[[ $(uname -m) == x86_64 ]] || skip 'the bound is for x86-64'
for feature in avx2 fma; do
    grep -qw "$feature" /proc/cpuinfo || skip "the bound is for a processor with $feature"
done
command -v valgrind >/dev/null || skip 'valgrind is not installed'

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

count() {
    valgrind --tool=callgrind --callgrind-out-file="$directory/out" \
        "$latchd" bench eyes --image tests/fixtures/astronaut.png --follow "$1" 2>"$directory/log" ||
        { cat "$directory/log" >&2; return 1; }
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$directory/log"
}

first=$(count $few)
last=$(count $many)
[[ $first =~ ^[0-9]+$ && $last =~ ^[0-9]+$ ]] || skip 'callgrind counts nothing here'
frame=$(((last - first) / (many - few)))
printf 'instructions of a followed frame: %d, at most %d\n' "$frame" "$most"
((frame <= most)) || { echo 'instructions.sh: a frame has become slower' >&2; exit 1; }
