#!/bin/sh
# What building (and checking, crossing, packing) latchd needs of the machine. Where apt is there and something is
# missing, says what it will install and installs it; elsewhere names what is missing and ends with 1.
#
# usage: prerequisites.sh build|test
#        prerequisites.sh cross-build|cross-test ARCH…     Debian's cross compilers; ARCH: arm64 armhf amd64
#        prerequisites.sh deb ARCH…                        what makes packages of what is built

set -eu
# shellcheck source=scripts/arch.sh
. "$(dirname "$0")/arch.sh"

rust_minor_min=89 # Cargo.toml: rust-version
purpose=${1:-build}
[ $# -eq 0 ] || shift
archs=$*
PATH=${HOME:-/root}/.cargo/bin:$PATH

have() { command -v "$1" >/dev/null 2>&1; }
note() { printf 'prerequisites: %s\n' "$*" >&2; }

rust_is_new_enough() {
    have cargo && have rustc || return 1
    minor=$(rustc --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p')
    [ -n "$minor" ] && [ "$minor" -ge "$rust_minor_min" ]
}

# bindgen loads libclang.so while the V4L2 bindings are made.
have_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    # Not libclang-cpp, which is another library.
    for file in /usr/lib/llvm-*/lib/libclang.so* /usr/lib/llvm-*/lib/libclang-[0-9]*.so* /usr/lib/*/libclang.so* \
        /usr/lib/*/libclang-[0-9]*.so* /usr/lib64/libclang.so* /usr/lib/libclang.so* /usr/lib64/llvm*/lib/libclang.so*; do
        [ -e "$file" ] && return 0
    done
    return 1
}

lack() {
    missing="$missing
  - $1"
    shift
    packages="$packages $*"
}

# A package of Debian's, and why.
want() { [ "$(dpkg-query -W -f '${Status}' "$2" 2>/dev/null)" = 'install ok installed' ] || lack "$1" "$2"; }

# Crossing uses Debian's compilers by their packages: a Rust of rustup's is left alone, and is not used.
look_cross() {
    want "Debian's Rust" rustc-web
    want "Debian's cargo" cargo-web
    want "the standard library's source" rust-web-src
    have_libclang || lack 'libclang (the camera bindings are made from the kernel header)' libclang-dev
    for arch in $archs; do
        arch_names "$arch"
        if [ -z "$emulator" ]; then
            want 'a C compiler' gcc
            want "the C library's headers" libc6-dev
            continue
        fi
        want "the C compiler for $arch" "gcc-$gnu"
        want "the C library for $arch" "libc6-dev-$arch-cross"
        [ "$purpose" = cross-build ] || have qemu-aarch64-static || lack 'an emulator for the tests' qemu-user-static
    done
}

# Fills $missing with what is lacking, in words, and $packages with Debian's names for it.
look() {
    missing=''
    packages=''
    case $purpose in
    cross-*)
        look_cross
        return
        ;;
    deb)
        have dpkg-deb || lack 'dpkg-deb' dpkg
        have objdump || lack 'objdump (reads what a program needs)' binutils
        have python3 || lack 'Python (lists the licences of what is linked in)' python3
        have lintian || lack "lintian (Debian's own judge of packages)" lintian
        for arch in $archs; do
            # The manual and the completions are printed by the program itself.
            [ "$arch" = amd64 ] || have qemu-aarch64-static || lack 'an emulator of the boards' qemu-user-static
        done
        return
        ;;
    esac
    have cc || lack 'a C compiler (SQLite and the TLS primitives are C)' build-essential
    have_libclang || lack 'libclang (the camera bindings are made from the kernel header)' libclang-dev
    have pkg-config || lack 'pkg-config' pkg-config
    [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -d /etc/pki/tls/certs ] || [ -e /etc/ssl/cert.pem ] ||
        lack 'CA certificates (cargo fetches over https)' ca-certificates
    rust_is_new_enough ||
        lack "Rust 1.$rust_minor_min or newer (found: $(rustc --version 2>/dev/null || echo none))" rustc-web cargo-web
    if [ "$purpose" = test ]; then
        cargo fmt --version >/dev/null 2>&1 || lack 'rustfmt' rustfmt-web
        cargo clippy --version >/dev/null 2>&1 || lack 'clippy' rust-web-clippy
        have shellcheck || lack 'shellcheck (reads the scripts)' shellcheck
        have valgrind || lack 'valgrind (counts the instructions of a frame)' valgrind
        python3 -c 'import ensurepip' 2>/dev/null || lack "Python's venv (the vendor's Python clients)" python3-venv
        have npm || lack "npm (the vendor's JavaScript client)" npm
    fi
}

look
[ -z "$missing" ] && exit 0
note "missing on this machine:$missing"

if ! have apt-get; then
    note 'this is no Debian: please install the above with the system'\''s package manager.'
    note 'Rust comes from https://rustup.rs (with rustfmt and clippy), libclang from the package clang or llvm.'
    exit 1
fi
if have rustup && { [ "$purpose" = build ] || [ "$purpose" = test ]; }; then
    # Debian's Rust and rustup's exclude each other: the person who chose rustup keeps it.
    rust_is_new_enough || { note 'please run: rustup update stable'; exit 1; }
    case $packages in *rustfmt-web* | *rust-web-clippy*)
        note 'please run: rustup component add rustfmt clippy'
        exit 1
        ;;
    esac
fi
as_root=''
if [ "$(id -u)" -ne 0 ]; then
    have sudo || { note "please run as root: apt-get install$packages"; exit 1; }
    as_root=sudo
fi

note "installing with apt:$packages"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q
# --no-remove: an older Rust of the system is not thrown out behind its owner's back.
# shellcheck disable=SC2086 # words on purpose
if ! $as_root apt-get install -q -y --no-install-recommends --no-remove $packages; then
    note "apt could not install:$packages"
    note 'an older rustc or cargo of the system may be in the way (apt-get remove rustc cargo), or Rust can come from https://rustup.rs'
    exit 1
fi

look
[ -z "$missing" ] && exit 0
note "still missing after apt:$missing"
note 'Debian 12 and newer carry a new enough Rust as rustc-web and cargo-web; else https://rustup.rs'
exit 1
