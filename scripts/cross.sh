#!/usr/bin/env bash
# Builds both programs as boards run them, or runs the tests of the pure rooms as those boards would, with Debian's cross
# compilers. No Docker, no rustup target, no foreign apt architecture: rustc is Debian's, and std is compiled from
# Debian's own source package.
#
# usage: cross.sh build ARCH…     release programs, without sandbox and demo
#        cross.sh test ARCH…      unit tests of the rooms that touch nothing, under qemu-user
#        ARCH: arm64 armhf amd64 (Debian's names)
#
# What it makes stays in $CARGO_TARGET_DIR/cross/TARGET. FLAGS is given to rustc, such as -Ctarget-feature=+neon for armhf.

set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
# shellcheck source=scripts/arch.sh
. scripts/arch.sh

# Which tests need nothing but a processor: rules, policies, codecs, formats, arithmetic over pictures. Of the eyes those that compare
# with the vectors: a burst is hundreds of passes of the network, and proves nothing more of the processor.
readonly pure_rooms=(
    access:: config:: queue::age queue::policy queue::states guard::codec guard::effective guard::machine
    guard::supervisor smileid:: picture:: people:: store::seal store::stamp
    camera::convert camera::raw camera::sway capture::burst capture::encode capture::files capture::gate capture::hint
    capture::survey capture::tasks eyes::area eyes::measure eyes::network eyes::pose eyes::suppress eyes::view
    eyes::detector::tests::faces_lie_where_the_vectors_say
)

usage() {
    sed -n '/^# usage/,/^#  *ARCH/s/^# \{0,1\}//p' "$root/scripts/cross.sh" >&2
    exit 2
}

# Debian's cargo with everything it must know about the target; std comes from source for each of them alike.
cargo_for() {
    local key=${target//-/_} include='' flags
    [[ -d /usr/$gnu/include ]] && include=" -I/usr/$gnu/include"
    # The place of the clone and of cargo's home are in no program: two machines build the same bytes.
    flags="--remap-path-prefix=$root=/latchd --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
    flags+=" --remap-path-prefix=$CARGO_TARGET_DIR=/target${FLAGS:+ $FLAGS}"
    env -u RUSTUP_TOOLCHAIN -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS \
        RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1 \
        "CARGO_TARGET_${key^^}_LINKER=$gnu-gcc" \
        "CARGO_TARGET_${key^^}_RUSTFLAGS=$flags" \
        ${emulator:+"CARGO_TARGET_${key^^}_RUNNER=$emulator -L /usr/$gnu"} \
        "CC_$key=$gnu-gcc" "AR_$key=$gnu-ar" \
        "CFLAGS_$key=-ffile-prefix-map=$root=/latchd -ffile-prefix-map=${CARGO_HOME:-$HOME/.cargo}=/cargo" \
        "BINDGEN_EXTRA_CLANG_ARGS_$key=--target=$gnu$include" \
        /usr/bin/cargo "$1" -Zbuild-std=std,panic_abort --locked --target "$target" --no-default-features "${@:2}"
}

# fits PROGRAM BYTES: a board's flash is small.
fits() {
    local size
    size=$(stat -c %s "$CARGO_TARGET_DIR/$target/release/$1")
    printf 'cross: %-5s %-12s %8d bytes of at most %d\n' "$arch" "$1" "$size" "$2"
    [[ $arch == amd64 ]] || ((size <= $2)) || { echo "cross.sh: $1 for $arch is too large" >&2; exit 1; }
}

case ${1:-} in build | test) task=$1 ;; *) usage ;; esac
shift
(($#)) || usage
for arch in "$@"; do arch_names "$arch" || usage; done

"$root/scripts/prerequisites.sh" "cross-$task" "$@"
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")/cross
export CARGO_TARGET_DIR
for arch in "$@"; do
    arch_names "$arch"
    begin=$SECONDS
    case $task in
    build)
        cargo_for build --release --bins
        # The model that finds faces is 203 KB of it.
        fits latchd $(((8 << 20) + 350000))
        fits latchd-guard $((1 << 20))
        ;;
    test) cargo_for test --lib -- "${pure_rooms[@]}" ;;
    esac
    printf 'cross: %s %s done in %d s\n' "$task" "$arch" $((SECONDS - begin))
done
