#!/usr/bin/env bash
# Makes a private environment with the vendor's own clients, once, and runs them against `latchd sandbox` (docs/sandbox.md).
#
# usage: conformance.sh

set -euo pipefail
cd "$(dirname "$0")/.."

readonly environment=${XDG_CACHE_HOME:-${HOME:?}/.cache}/latchd/conformance-1
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}

unavailable() {
    printf '\nconformance: SKIPPED, NOTHING WAS TESTED: %s\n\n' "$*" >&2
    echo "conformance: 0 passed, 0 failed, 1 skipped in 0 s"
    exit 77
}

if [[ ! -e $environment/complete ]]; then
    command -v npm >/dev/null || unavailable 'npm is missing: apt-get install npm'
    python3 -c 'import ensurepip' 2>/dev/null || unavailable 'Python has no venv: apt-get install python3-venv'
    echo "fetching the vendor's clients and schemathesis into $environment"
    rm -rf "$environment"
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check -r tests/conformance/requirements.txt ||
        unavailable 'the Python packages cannot be fetched'
    npm install --silent --no-fund --no-audit --ignore-scripts --prefix "$environment/js" smile-identity-core@3.2.1 ||
        unavailable 'the JavaScript package cannot be fetched'
    touch "$environment/complete"
fi
cargo build --release --locked
exec "$environment/bin/python" tests/conformance/run.py "$CARGO_TARGET_DIR/release/latchd" "$environment"
