#!/bin/sh
# To be sourced: what a board's architecture is called by whom.
#
# arch_names ARCH     ARCH: arm64 armhf amd64 (Debian's names). Sets $target (Rust's name), $gnu (the C compiler's) and
#                     $emulator (empty where the programs run as they are); 2 for any other.
# shellcheck disable=SC2034 # whoever sources it uses them

arch_names() {
    case $1 in
    arm64) target=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu emulator=qemu-aarch64-static ;;
    armhf) target=armv7-unknown-linux-gnueabihf gnu=arm-linux-gnueabihf emulator=qemu-arm-static ;;
    amd64) target=x86_64-unknown-linux-gnu gnu=x86_64-linux-gnu emulator='' ;;
    *) return 2 ;;
    esac
}
