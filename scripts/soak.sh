#!/usr/bin/env bash
# Feeds a daemon full-size jobs while its link to the sandbox is cut again and again, in the middle of bodies and before
# answers too. Ends with one JSON line; 0 when memory and file stayed flat and every job is accounted for.
#
# usage: soak.sh     T=30 minutes, RATE=5 jobs a second, SOAK_KEEP=1 keeps its directory

set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}
cargo build --release --locked
exec python3 -B scripts/bench/soak.py "$(realpath "$CARGO_TARGET_DIR/release/latchd")" "${T:-30}" "${RATE:-5}"
