#!/usr/bin/env bash
# Runs the checks of latchd, part by part, each timed; ends with a table and one line of counts.
# A part that cannot run on this machine is skipped loudly and counted as skipped, never as passed.
#
# usage: test.sh [PART…]     parts: fmt clippy lean shell units deny nextest doctest demo eyes sdk board (all by default), cross (long)

set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

readonly nextest_version=0.9.143 deny_version=0.20.2
readonly cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/latchd
readonly tools=$cache/tools
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}
export PATH=$tools/bin:$HOME/.cargo/bin:$PATH
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}

passed=0 failed=0 skipped=0
table=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT

say() { printf '\n== %s\n' "$*"; }

# skip REASON: a part says why it does not run.
skip() {
    printf '!! SKIPPED: %s\n' "$*"
    return 77
}

# A tool pinned by version: on the path, in the cache, or fetched once. 1 when it cannot be had.
tool() {
    local name=$1 version=$2 probe=$3
    [[ $($probe --version 2>/dev/null) == *" $version"* ]] && return 0
    echo "$name $version is missing: building it once into $tools (some minutes)"
    CARGO_TARGET_DIR=$cache/tools-build cargo install --locked --root "$tools" --version "=$version" "$name"
    local code=$?
    rm -rf "$cache/tools-build"
    return $code
}

# Adds "N passed" and "N failed" of the log's lines that match $1 to the counts of this part.
count() {
    local ok=0 bad=0 line
    while IFS= read -r line; do
        # nextest: "Summary [ 1.2s] 40 tests run: 38 passed (1 slow), 1 failed, 1 timed out, 2 skipped"
        # cargo test: "test result: FAILED. 38 passed; 2 failed; 0 ignored; …"
        [[ $line =~ ([0-9]+)\ passed ]] && ok=$((ok + BASH_REMATCH[1]))
        [[ $line =~ ([0-9]+)\ failed ]] && bad=$((bad + BASH_REMATCH[1]))
        [[ $line =~ ([0-9]+)\ timed\ out ]] && bad=$((bad + BASH_REMATCH[1]))
        [[ $line =~ ([0-9]+)\ exec\ failed ]] && bad=$((bad + BASH_REMATCH[1]))
    done < <(sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -E "$1")
    part_passed=$ok part_failed=$bad
}

fmt() {
    local manifest
    for manifest in Cargo.toml tests/fuzz/Cargo.toml scripts/bench/tract/Cargo.toml; do
        cargo fmt --check --manifest-path $manifest || return
    done
}
clippy() { cargo clippy --locked --all-targets -- -D warnings; }

# As it is built for a board: without the sandbox and the demo.
lean() { cargo clippy --locked --no-default-features --lib --bins -- -D warnings; }

shell() {
    command -v shellcheck >/dev/null || { skip 'shellcheck is not installed'; return; }
    shellcheck scripts/*.sh .ci/run
}

units() {
    command -v systemd-analyze >/dev/null || { skip 'systemd-analyze is not installed'; return; }
    local unit code=0
    for unit in systemd/*.service; do
        systemd-analyze security --no-pager --offline=true --threshold=20 "$unit" | tail -n 1 || code=1
    done
    return $code
}

deny() {
    if ! tool cargo-deny $deny_version cargo-deny; then
        skip "cargo-deny $deny_version can be neither found nor built"
        return
    fi
    cargo deny --locked check licenses bans sources || return 1
    if cargo deny --locked fetch db; then
        cargo deny --locked check --disable-fetch advisories
    else
        advisories_skipped=1
        printf '!! SKIPPED: the advisory database cannot be fetched; known vulnerabilities were NOT looked for\n'
    fi
}

nextest() {
    if tool cargo-nextest $nextest_version 'cargo nextest'; then
        cargo nextest run --locked --all-targets --no-fail-fast
    else
        echo "cargo-nextest $nextest_version can be neither found nor built: cargo test runs the same tests"
        cargo test --locked --lib --bins --tests --no-fail-fast
    fi
}

doctest() { cargo test --locked --doc; }

demo() { cargo build --release --locked && "$CARGO_TARGET_DIR/release/latchd" demo --fast; }

# The release that the demo built.
eyes() { cargo build --release --locked && scripts/instructions.sh "$CARGO_TARGET_DIR/release/latchd"; }

sdk() { scripts/conformance.sh; }

# Debian's cross compilers and emulators are installed by apt when they are missing.
debian_and_root() {
    command -v apt-get >/dev/null || { skip 'this is no Debian'; return; }
    [[ $(id -u) -eq 0 ]] || skip 'not root'
}

cross() {
    debian_and_root || return
    scripts/cross.sh build arm64 armhf && scripts/cross.sh test arm64 armhf
}

# Twelve of the scenarios, in some ten minutes; `make board` has them all.
board() {
    debian_and_root || return
    scripts/board.sh power_on photograph face no_edge kills power_cuts wrong_clock full_disk environment plain_init doctor pulses
}

run() {
    local part=$1 begin=$SECONDS code result
    part_passed=0 part_failed=0 advisories_skipped=0
    say "$part"
    $part > >(tee "$log") 2>&1
    code=$?
    wait $! # tee has written all of it
    case $part in
    nextest) count '^ *Summary \[|^test result:' ;;
    doctest | cross) count '^test result:' ;;
    board | sdk) count '^(board|conformance): [0-9]+ passed' ;;
    esac
    if ((code == 77)); then
        result=skipped skipped=$((skipped + 1))
    elif ((code == 0)); then
        result=passed
        # A part without tests of its own counts as one check.
        ((part_passed + part_failed == 0)) && part_passed=1
    else
        result=FAILED
        ((part_failed == 0)) && part_failed=1
    fi
    skipped=$((skipped + advisories_skipped))
    passed=$((passed + part_passed)) failed=$((failed + part_failed))
    table+=("$(printf '%-10s %-8s %5d s  %d passed, %d failed' "$part" "$result" $((SECONDS - begin)) $part_passed $part_failed)")
}

parts=("$@")
((${#parts[@]})) || parts=(fmt clippy lean shell units deny nextest doctest demo eyes sdk board)
for part in "${parts[@]}"; do
    case $part in
    fmt | clippy | lean | shell | units | deny | nextest | doctest | demo | eyes | sdk | cross | board) run "$part" ;;
    *) echo "test.sh: no part is called $part" >&2 && exit 2 ;;
    esac
done

say 'parts'
printf '%s\n' "${table[@]}"
printf '\n%d passed, %d failed, %d skipped\n' $passed $failed $skipped
((failed == 0))
