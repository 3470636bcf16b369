"""What the board needs of this machine: Debian packages, a cache, files that can be trusted."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "latchd" / "board"

# The programs that are called, and the package of each. numpy and PIL make and compare pictures.
PROGRAMS = {
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-img": "qemu-utils",
    "qemu-aarch64-static": "qemu-user-static",
    "update-binfmts": "binfmt-support",
    "arch-test": "arch-test",
    "mmdebstrap": "mmdebstrap",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "mkfs.ext4": "e2fsprogs",
    "depmod": "kmod",
    "cpio": "cpio",
    "dpkg-deb": "dpkg",
}
FILES = {"/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring"}
MODULES = {"numpy": "python3-numpy", "PIL": "python3-pil"}


class Unavailable(Exception):
    """The board cannot be had on this machine; the reason is for people."""


def say(text):
    print(f"board: {text}", flush=True)


def sha256(*parts):
    """One digest over texts, bytes and the contents of files (as Path)."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            with part.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        else:
            digest.update(hashlib.sha256(part.encode() if isinstance(part, str) else part).digest())
    return digest.hexdigest()


def call(*command, log=None, **more):
    """Runs a program of the host; its output goes to the file `log`, and into the error when it fails."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, **more)
    if log is not None:
        Path(log).write_text(done.stdout)
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-20:])
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{tail}")
    return done.stdout


def _has_module(name):
    try:
        __import__(name)
        return True
    except ImportError:
        return False


def missing_packages():
    """Debian packages that are still to be installed."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = {package for program, package in PROGRAMS.items() if not shutil.which(program)}
    missing |= {package for file, package in FILES.items() if not Path(file).exists()}
    missing |= {package for module, package in MODULES.items() if not _has_module(module)}
    return sorted(missing)


def ensure_packages():
    """Installs what is missing by apt; `Unavailable` says why it cannot."""
    missing = missing_packages()
    if not missing:
        return
    names = " ".join(missing)
    if not shutil.which("apt-get"):
        raise Unavailable(f"this is no Debian, and these packages are missing: {names}")
    if os.geteuid() != 0:
        raise Unavailable(f"not root, and these packages are missing: apt-get install {names}")
    say(f"installing {names}")
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    wait = ["-o", "DPkg::Lock::Timeout=900"]
    try:
        call("apt-get", *wait, "update", "-q", env=env)
    except RuntimeError as error:
        say(f"the package lists could not be renewed, going on with those there are: {error}")
    # Programs of one source must be of one version: apt may take one away for another, and a second round brings it back.
    for _ in range(2):
        try:
            call("apt-get", *wait, "install", "-q", "-y", "--no-install-recommends", *missing, env=env)
        except RuntimeError as error:
            raise Unavailable(f"apt-get could not install {' '.join(missing)}: {error}") from error
        missing = missing_packages()
        if not missing:
            return
    left = [name for name in missing if name not in MODULES.values()]
    if left:
        raise Unavailable(f"still missing after apt-get: {' '.join(left)}")


def ensure_foreign_programs():
    """Programs of arm64 run here through binfmt_misc, which a container may have left unmounted."""
    if os.uname().machine == "aarch64":
        return
    place = Path("/proc/sys/fs/binfmt_misc")
    if not (place / "register").exists():
        call("mount", "-t", "binfmt_misc", "binfmt_misc", place)
    if not (place / "qemu-aarch64").exists():
        call("update-binfmts", "--enable", "qemu-aarch64")
