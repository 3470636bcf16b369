#!/usr/bin/env bash
# Counts the bytes that latchd writes to flash: an ext4 of its own on a loop device, the database there, the kernel's count of
# what reached the device. For root; figures in docs/benchmarks.md.
#
# usage: wear.sh [table|idle]…     both by default
#   JOBS=100          jobs a row of the table
#   IDLE_MINUTES=10   how long an idle daemon is watched
#   TMPDIR            where the file system's file lies (4 GB, sparse)

set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}
[[ $EUID -eq 0 ]] || { echo "wear.sh: a loop device needs root" >&2; exit 2; }
cargo build --release --locked
latchd=$(realpath "$CARGO_TARGET_DIR/release/latchd")
readonly latchd

# In a shell of its own, so that whatever ends it takes file system and device with it.
part() (
    set -e
    place=$(mktemp -d)
    device=
    trap 'umount "$place/mount" 2>/dev/null; [[ -z $device ]] || losetup --detach "$device"; rm -rf "$place"' EXIT
    truncate -s 4G "$place/disk"
    # Without the lazy kind the kernel would go on to write tables for minutes.
    mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$place/disk"
    device=$(losetup --find --show "$place/disk")
    mkdir "$place/mount"
    mount "$device" "$place/mount"
    python3 -B scripts/bench/wear.py "$latchd" "$1" "$place/mount" "$device" "$2"
)

# Not in a condition: bash would go on after a step that failed.
set +e
code=0
parts=("$@")
[[ $# -gt 0 ]] || parts=(table idle)
for name in "${parts[@]}"; do
    case $name in
        table) part table "${JOBS:-100}" ;;
        idle) part idle "${IDLE_MINUTES:-10}" ;;
        *) echo "usage: wear.sh [table|idle]…" >&2; exit 2 ;;
    esac
    code=$((code | $?))
done
exit "$code"
