#!/usr/bin/python3
"""Runs a command, and all that it starts, under the system call filter of a systemd unit, without systemd.

usage: under_filter.py UNIT COMMAND [ARGUMENT…]

SystemCallFilter= is read as systemd reads it (groups are resolved by `systemd-analyze syscall-filter`), and
RestrictAddressFamilies= with it. A forbidden call fails with the unit's SystemCallErrorNumber=, as on a board, and is
remembered: at the end each one is named, and the exit status is 1 if there was any, else the command's own.

Needs Debian's python3-seccomp (which is for Debian's own Python), a kernel from 5.5 on, and systemd-analyze.
"""

import array
import collections
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys

import seccomp

# From linux/seccomp.h: receive a notification (id, pid, flags, call, architecture, address, six arguments), answer it.
NOTIF_RECV, NOTIF_SEND = 0xC0502100, 0xC0182101
NOTIFICATION, RESPONSE = struct.Struct("=QIIiIQ6Q"), struct.Struct("=Qqii")


def settings(unit, key):
    """The values of all lines of a key, in order."""
    with open(unit, encoding="utf-8") as lines:
        pairs = (line.strip().split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        return [value for name, value in pairs if name == key]


def resolve(name):
    """The calls behind a name: itself, or all of a group."""
    if not name.startswith("@"):
        return {name}
    listing = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", name], capture_output=True, text=True, check=True)
    words = (line.strip() for line in listing.stdout.splitlines() if line.startswith("    "))
    return {call for word in words if not word.startswith("#") for call in resolve(word)}


def allowed(unit):
    """The calls that the unit allows: systemd.exec(5), SystemCallFilter=."""
    calls = resolve("@default")
    lines = settings(unit, "SystemCallFilter")
    if not lines or lines[0].startswith("~"):
        sys.exit(f"under_filter.py: {unit} has no list of allowed calls")
    for line in lines:
        these = {call for name in line.lstrip("~").split() for call in resolve(name)}
        calls = calls - these if line.startswith("~") else calls | these
    # systemd always lets these through.
    return calls | {"execve", "exit", "exit_group", "getrlimit", "rt_sigreturn", "sigreturn"}


def build(unit):
    """The filter, with "ask the parent" for all that is not allowed."""
    rules = seccomp.SyscallFilter(seccomp.NOTIFY)
    families = [getattr(socket, name) for line in settings(unit, "RestrictAddressFamilies") for name in line.split()]
    for call in sorted(allowed(unit)):
        try:
            number = seccomp.resolve_syscall(seccomp.Arch(), call)
        except ValueError:
            continue
        if number < 0:
            continue  # not of this architecture
        if call == "socket" and families:
            for family in families:
                rules.add_rule(seccomp.ALLOW, number, seccomp.Arg(0, seccomp.EQ, family))
        else:
            rules.add_rule(seccomp.ALLOW, number)
    return rules


def run_child(rules, channel, command):
    """In the child: load the filter, hand its listener to the parent, become the command."""
    rules.load()
    listener = array.array("i", [rules.get_notify_fd()])
    channel.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, listener)])
    os.close(listener[0])
    channel.close()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"under_filter.py: {command[0]}: {error.strerror}", file=sys.stderr)
        os._exit(127)


def program(pid):
    """The name of a process, for the list."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return "?"


def supervise(child, listener, number):
    """Denies and counts until the command and all that it started have ended. Gives the count and the wait status."""
    denied = collections.Counter()
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    status = None
    while True:
        ready = poll.poll(100)
        if status is None:
            pid, seen = os.waitpid(child, os.WNOHANG)
            status = seen if pid else None
        if ready and ready[0][1] & select.POLLIN:
            message = bytearray(NOTIFICATION.size)
            try:
                fcntl.ioctl(listener, NOTIF_RECV, message)
                notice = NOTIFICATION.unpack(message)
                call = seccomp.resolve_syscall(seccomp.Arch(), notice[3])
                call = call.decode() if isinstance(call, bytes) else str(call)
                denied[program(notice[1]), call, notice[6] if call == "socket" else None] += 1
                fcntl.ioctl(listener, NOTIF_SEND, bytearray(RESPONSE.pack(notice[0], 0, -number, 0)))
            except FileNotFoundError:
                pass  # who called was killed meanwhile
        elif ready and status is not None:
            return denied, status  # nobody is left under the filter


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__.split("\n\n")[1])
    unit, command = sys.argv[1], sys.argv[2:]
    rules = build(unit)
    number = getattr(errno, (settings(unit, "SystemCallErrorNumber") or ["EPERM"])[-1])
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    child = os.fork()
    if child == 0:
        ours.close()
        run_child(rules, theirs, command)
    theirs.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(4))
    if not ancillary:
        sys.exit("under_filter.py: the filter could not be loaded")
    listener = array.array("i", ancillary[0][2])[0]
    denied, status = supervise(child, listener, number)
    for (name, call, family), times in sorted(denied.items(), key=str):
        detail = "" if family is None else f", address family {family}"
        print(f"under_filter.py: {unit} forbids {call}{detail}: {name}, {times} times", file=sys.stderr)
    code = os.waitstatus_to_exitcode(status)
    sys.exit(1 if denied else code if code >= 0 else 128 - code)


main()
