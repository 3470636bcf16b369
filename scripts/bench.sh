#!/usr/bin/env bash
# Builds the release, fetches the peers into a private environment and runs the benchmarks of docs/benchmarks.md.
#
# usage: bench.sh [submit|verdict|stream|edge|path|start|capture|eyes|queue|drain]…     all by default

set -euo pipefail
cd "$(dirname "$0")/.."

readonly cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/latchd
readonly peers=$cache/bench-peers
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}

cargo build --release --locked
if [[ ! -x $peers/bin/python ]] || ! "$peers/bin/python" -c 'import usesmileid, PIL, ai_edge_litert, simplejpeg, onnx' 2>/dev/null; then
    echo "fetching the peers: the official Python client, LiteRT, and ONNX for tract, into $peers"
    python3 -m venv "$peers"
    "$peers/bin/pip" install --quiet usesmileid==12.1.0 pillow==12.0.0 ai-edge-litert==2.3.0 simplejpeg==1.9.0 onnx==1.23.2
fi
exec python3 -B scripts/bench/run.py "$(realpath "$CARGO_TARGET_DIR/release/latchd")" "$peers/bin/python" "$@"
