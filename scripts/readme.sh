#!/usr/bin/env bash
# Puts what the demo prints into the README, so that the README shows what is true: run after a change of the demo.
#
# usage: readme.sh     builds the release, plays the demo, rewrites README.md between its two marks

set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}
cargo build --release --locked
out=$(mktemp)
trap 'rm -f "$out"' EXIT
"$CARGO_TARGET_DIR/release/latchd" demo >"$out"
awk -v out="$out" '
    /<!-- demo:begin -->/ { print; print "```"; while ((getline line < out) > 0) print line; print "```"; skip = 1 }
    /<!-- demo:end -->/ { skip = 0 }
    !skip { print }
' README.md >"$out.new"
mv "$out.new" README.md
