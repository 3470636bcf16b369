#!/usr/bin/env bash
# Builds the package for arm64 and runs it on the emulated board (docs/building.md). Root, on Debian.
#
# usage: board.sh [--full [--cuts N]] [SCENARIO…]     all scenarios by default
#   --full     the long counts, in parts that resume
#   --cuts N   so many power cuts, those of earlier runs of this package counted

set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}

cargo build --release --locked
scripts/cross.sh build arm64
scripts/deb.sh arm64
# Debian's Python: it is the one that Debian's numpy and PIL are for.
exec /usr/bin/python3 tests/board/run.py "$@"
