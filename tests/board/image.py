"""The board's disk: Debian for arm64, its kernel, and the few files that make it a board for tests.

Nothing of latchd is in it. Two things are kept in the cache, each under a name that is a hash of what it is made of: the
root file system (Debian's packages alone, most of the time) and the image (disk, kernel, initial RAM disk, key).
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from host import CACHE, HERE, Unavailable, call, ensure_foreign_programs, say, sha256

SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PACKAGES = ("systemd systemd-sysv udev dbus kmod iproute2 procps openssh-server ca-certificates gpiod v4l-utils "
            "python3 busybox-static adduser").split()
# What the board drives, beyond what the kernel has built in. The first group is for the initial RAM disk.
ROOT_MODULES = ["virtio_mmio", "virtio_blk", "crc32c_generic", "ext4"]
MODULES = [*ROOT_MODULES, "virtio_net", "virtio_rng", "vivid", "softdog", "rtc_pl031", "autofs4"]
DISK_SIZE = "2G"
KEPT_FILES = ["disk.qcow2", "vmlinuz", "initrd.gz", "key", "key.pub"]

MASKED = """ssh.service ssh.socket serial-getty@ttyAMA0.service getty@tty1.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer
e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-networkd-wait-online.service systemd-logind.service
systemd-pstore.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount
sys-fs-fuse-connections.mount modprobe@configfs.service modprobe@drm.service modprobe@efi_pstore.service
modprobe@fuse.service modprobe@loop.service modprobe@dm_mod.service""".split()


def image():
    """The directory of a checked image; builds it when there is none."""
    guest = sorted(path for path in (HERE / "guest").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    made_of = [Path(__file__), *guest]
    names = "\n".join(str(path.relative_to(HERE)) for path in made_of)
    key = sha256(names, *made_of)[:16]
    place = CACHE / f"image-{key}"
    if place.exists():
        if _intact(place):
            return place
        say(f"{place} is damaged and made again")
        shutil.rmtree(place)
    if os.geteuid() != 0:
        raise Unavailable("building the board's disk needs root (mmdebstrap, chroot)")
    ensure_foreign_programs()
    rootfs = _rootfs()
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=CACHE) as work:
        say("disk image")
        work = Path(work)
        out = work / "out"
        out.mkdir()
        _build(rootfs, work / "root", out)
        _write_sums(out, KEPT_FILES)
        out.rename(place)
    for old in CACHE.glob("image-*"):
        if old != place:
            shutil.rmtree(old)
    return place


def _write_sums(place, names):
    (place / "SHA256SUMS").write_text("".join(f"{sha256(place / name)}  {name}\n" for name in names))


def _intact(place):
    try:
        lines = (place / "SHA256SUMS").read_text().splitlines()
        return bool(lines) and all(sha256(place / name) == digest for digest, name in map(str.split, lines))
    except (OSError, ValueError):
        return False


def _mirror():
    """The Debian mirror that apt of this machine uses for the suite, else Debian's own."""
    try:
        sites = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", f"Codename: {SUITE}"],
            capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        sites = []
    return sites[0].rstrip("/") if sites else MIRROR


def _rootfs():
    """A tar archive with Debian's packages and, in /kernel, the kernel's package unpacked."""
    hook = r'''
set -e
cd "$1"; mkdir kernel; export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
name=$(apt-cache depends linux-image-arm64 | sed -n 's/^ *Depends: \(linux-image-[^ ]*\).*/\1/p' | head -n 1)
work=$(mktemp -d); cd "$work"
apt-get download -q -o APT::Sandbox::User=root "$name"
dpkg-deb -x ./*.deb "$1/kernel"
rm -rf "$work"
'''
    options = ["--mode=root", "--variant=minbase", "--architectures=arm64", f"--include={','.join(PACKAGES)}",
               f"--keyring={KEYRING}", "--aptopt=Acquire::Languages \"none\"",
               *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale", "info"))]
    place = CACHE / f"rootfs-{sha256(hook, SUITE, *options)[:16]}"
    if place.exists():
        if _intact(place):
            return place / "rootfs.tar"
        shutil.rmtree(place)
    say(f"root file system (Debian {SUITE} for arm64): some minutes")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=CACHE) as work:
        out = Path(work) / "out"
        out.mkdir()
        script = Path(work) / "kernel.sh"
        script.write_text("#!/bin/sh" + hook)
        script.chmod(0o755)
        mirror = _mirror()
        try:
            call("mmdebstrap", "--quiet", *options, f"--customize-hook={script}", SUITE, out / "rootfs.tar",
                 f"deb {mirror} {SUITE} main", f"deb {mirror} {SUITE}-updates main")
        except RuntimeError as error:
            raise Unavailable(f"Debian's packages could not be had: {error}") from error
        _write_sums(out, ["rootfs.tar"])
        out.rename(place)
    for old in CACHE.glob("rootfs-*"):
        if old != place:
            shutil.rmtree(old)
    return place / "rootfs.tar"


def _build(rootfs, root, out):
    root.mkdir()
    call("tar", "-C", root, "--numeric-owner", "--xattrs", "-xf", rootfs)
    shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)
    kernel = root / "kernel"
    version = next((kernel / "lib/modules").iterdir()).name
    shutil.copy(kernel / f"boot/vmlinuz-{version}", out / "vmlinuz")
    call("depmod", "-b", kernel, version)
    modules = _modules(kernel, version, MODULES)
    for module in modules:
        target = root / module.relative_to(kernel)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(module, target)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy(kernel / "lib/modules" / version / name, root / "lib/modules" / version / name)
    call("depmod", "-b", root, version)
    _initrd(root, kernel, version, out / "initrd.gz")
    shutil.rmtree(kernel)
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "latchd-board", "-f", out / "key")
    _guest(root, out / "key.pub")
    raw = out / "disk.raw"
    call("truncate", "-s", DISK_SIZE, raw)
    # No blocks reserved for root: a full disk is full for everybody, and the same for every run.
    call("mkfs.ext4", "-q", "-F", "-m", "0", "-L", "board", "-d", root, raw)
    call("qemu-img", "convert", "-O", "qcow2", raw, out / "disk.qcow2")
    raw.unlink()


def _modules(root, version, names):
    """The files of these modules and of what they need, in the order in which they are to be loaded."""
    files = []
    for name in names:
        shown = subprocess.run(["modprobe", "-d", root, "-S", version, "--show-depends", name],
                               capture_output=True, text=True, check=False).stdout
        for line in shown.splitlines():
            word, *rest = line.split()
            # Built into the kernel: nothing to copy.
            if word == "insmod" and Path(rest[0]) not in files:
                files.append(Path(rest[0]))
    return files


def _initrd(root, kernel, version, out):
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        for name in ("bin", "modules", "dev", "proc", "sys", "new"):
            (work / name).mkdir()
        shutil.copy(root / "bin/busybox", work / "bin/busybox")
        box = "/bin/busybox"
        lines = [f"#!{box} sh", f"{box} mount -t devtmpfs dev /dev"]
        for module in _modules(kernel, version, ROOT_MODULES):
            shutil.copy(module, work / "modules")
            lines.append(f"{box} insmod /modules/{module.name}")
        lines += [f"until [ -b /dev/vda ]; do {box} usleep 10000; done",
                  f"{box} mount -t ext4 /dev/vda /new || exec {box} sh",
                  f"{box} mount --move /dev /new/dev",
                  f"exec {box} switch_root /new /sbin/init"]
        init = work / "init"
        init.write_text("\n".join(lines) + "\n")
        init.chmod(0o755)
        call("sh", "-c", 'cd "$1" && find . | cpio -o -H newc --quiet | gzip -1 >"$2"', "sh", work, out)


def _guest(root, public_key):
    """Our own files in the guest: those of `guest/`, and what can only be done in place."""
    source = HERE / "guest"
    shutil.copytree(source, root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for script in (root / "usr/local/bin").iterdir():
        script.chmod(0o755)
    (root / "etc/hostname").write_text("board\n")
    (root / "etc/fstab").write_text("")
    (root / "etc/machine-id").write_text("")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("nameserver 10.0.2.3\n")
    for directory in ("root/.ssh", "var/log/journal"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    (root / "root/.ssh").chmod(0o700)
    keys = root / "root/.ssh/authorized_keys"
    shutil.copy(public_key, keys)
    keys.chmod(0o600)
    call("systemctl", f"--root={root}", "-q", "enable", "board-shell.service", "board-up.service",
         "board-camera.service", "systemd-networkd.service")
    call("systemctl", f"--root={root}", "-q", "mask", *MASKED)
