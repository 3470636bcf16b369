#!/usr/bin/env bash
# Makes latchd_VERSION_ARCH.deb of what `cross.sh build` made.
#
# usage: deb.sh ARCH…      ARCH: arm64 armhf amd64; the packages lie in $CARGO_TARGET_DIR/debian
#   DEB_VERSION=…          another version than Cargo.toml's with -1, for builds between releases
#   SOURCE_DATE_EPOCH=…    the time stamp of every file; the last commit's if not set

set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/arch.sh
. scripts/arch.sh

(($#)) || { sed -n '/^# usage/,/^$/s/^# \{0,1\}//p' scripts/deb.sh >&2; exit 2; }
scripts/prerequisites.sh deb "$@"
target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")
version=${DEB_VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)-1}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
export LC_ALL=C.UTF-8 TZ=UTC
umask 022

# What the two programs need of the system: shared libraries by the packages that bring them, glibc by the newest symbol
# version in use. Anything new here is a decision, not an accident.
depends() {
    local library glibc list=''
    for library in $(objdump -p "$@" | awk '$1 == "NEEDED" { print $2 }' | sort -u); do
        case $library in
        libc.so.6 | libm.so.6 | ld-linux*) ;; # one package
        libgcc_s.so.1) list=', libgcc-s1' ;;
        *) echo "deb.sh: no package is known for $library" >&2 && return 1 ;;
        esac
    done
    glibc=$(objdump -T "$@" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
    [[ $glibc ]] || { echo "deb.sh: no glibc symbol in $*" >&2 && return 1; }
    echo "libc6 (>= ${glibc#GLIBC_})$list"
}

# zip FILE…: as Debian wants documentation, without the time stamp.
zip() { gzip -9 -n "$@"; }

pack() {
    local arch=$1 target gnu emulator emulate=() tree
    arch_names "$arch" || { echo "deb.sh: $arch is none of arm64 armhf amd64" >&2 && return 2; }
    [[ $emulator ]] && emulate=("$emulator" -L "/usr/$gnu")
    local built=$target_dir/cross/$target/release
    [[ -x $built/latchd ]] || { echo "deb.sh: no $built/latchd; run scripts/cross.sh build $arch first" >&2 && return 1; }

    mkdir -p "$target_dir/debian"
    tree=$(mktemp -d "$target_dir/debian/$arch.XXXXXX")
    # shellcheck disable=SC2064 # this tree
    trap "rm -rf '$tree'" RETURN
    chmod 755 "$tree"

    local doc=$tree/usr/share/doc/latchd man=$tree/usr/share/man
    install -D -m 755 -t "$tree/usr/bin" "$built/latchd" "$built/latchd-guard"
    install -D -m 644 -t "$tree/lib/systemd/system" systemd/*.service systemd/*.socket
    install -D -m 644 -t "$tree/usr/lib/sysusers.d" systemd/sysusers.d/latchd.conf
    install -D -m 644 -t "$tree/usr/lib/tmpfiles.d" systemd/tmpfiles.d/latchd.conf
    install -D -m 644 -t "$tree/lib/udev/rules.d" systemd/udev/99-latchd.rules
    install -D -m 755 -t "$tree/usr/share/latchd/plain-init" packaging/plain-init/prepare
    install -D -m 644 -t "$tree/usr/share/latchd/plain-init" packaging/plain-init/inittab
    # guard.toml becomes root:latchd-guard 0640 when tmpfiles.d is applied: that group is not there before.
    install -D -m 644 -t "$tree/etc/latchd" config/latchd.toml config/guard.toml

    install -d "$man/man1" "$man/man8"
    "${emulate[@]}" "$built/latchd" man "$man/man1"
    sed "s/@VERSION@/${version%-*}/" packaging/man/latchd-guard.8 >"$man/man8/latchd-guard.8"
    install -d "$tree/usr/share/bash-completion/completions" "$tree/usr/share/zsh/vendor-completions" \
        "$tree/usr/share/fish/vendor_completions.d"
    "${emulate[@]}" "$built/latchd" completions bash >"$tree/usr/share/bash-completion/completions/latchd"
    "${emulate[@]}" "$built/latchd" completions zsh >"$tree/usr/share/zsh/vendor-completions/_latchd"
    "${emulate[@]}" "$built/latchd" completions fish >"$tree/usr/share/fish/vendor_completions.d/latchd.fish"

    install -D -m 644 -t "$doc" docs/*.md docs/*.svg
    install -D -m 644 src/eyes/NOTICE.md "$doc/face-model-notice"
    install -D -m 644 src/eyes/LICENSE.Apache-2.0-mediapipe "$doc/face-model-licence"
    install -D -m 644 packaging/debian/copyright "$doc/copyright"
    install -D -m 644 CHANGELOG.md "$doc/changelog"
    cat >"$doc/changelog.Debian" <<END
latchd ($version) stable; urgency=medium

  * Version ${version%-*}; what changed is in changelog.gz.

 -- The latchd authors <latchd@packages.invalid>  $(date -R -d "@$SOURCE_DATE_EPOCH")
END
    cargo metadata --locked --format-version 1 --no-default-features --filter-platform "$target" |
        python3 scripts/third_party.py >"$doc/third-party-notices"
    zip "$doc/changelog" "$doc/changelog.Debian" "$doc/third-party-notices"
    find "$man" -type f -exec gzip -9 -n {} +
    install -D -m 644 packaging/debian/lintian-overrides "$tree/usr/share/lintian/overrides/latchd"

    local needed size
    needed=$(depends "$built/latchd" "$built/latchd-guard")
    # Before DEBIAN/ is there, for it is not installed.
    size=$(du -k -s --apparent-size "$tree" | cut -f 1)
    install -d "$tree/DEBIAN"
    (cd "$tree" && find . -path ./DEBIAN -prune -o -path ./etc -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum) \
        >"$tree/DEBIAN/md5sums"
    sed -e "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@INSTALLED_SIZE@/$size/; s/@DEPENDS@/$needed/" \
        packaging/debian/control >"$tree/DEBIAN/control"
    install -m 755 -t "$tree/DEBIAN" packaging/debian/postinst packaging/debian/prerm packaging/debian/postrm
    install -m 644 -t "$tree/DEBIAN" packaging/debian/conffiles
    # The clock of the machine is in no file: a second build of the same commit gives the same bytes.
    find "$tree" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group --build "$tree" "$target_dir/debian/latchd_${version}_$arch.deb" >/dev/null
    lintian --allow-root --fail-on error,warning "$target_dir/debian/latchd_${version}_$arch.deb"
    printf 'deb: %s, %d bytes\n' "$target_dir/debian/latchd_${version}_$arch.deb" \
        "$(stat -c %s "$target_dir/debian/latchd_${version}_$arch.deb")"
}

for arch in "$@"; do pack "$arch"; done
