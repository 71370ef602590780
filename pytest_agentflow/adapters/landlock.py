"""How is a command confined without namespaces: Landlock rules, resource limits, and nothing left alive afterwards?

Used in two ways: as a library (`abi()`), and as a script that `sandbox.popen` starts with `python -I -S`. As a script it
becomes the subreaper of the command, so that daemons which leave the process group are still its children and die with it.
Standard library only: nothing of the package is imported on the far side.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import Any

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_CHILD_SUBREAPER = 1, 38, 36
_RULE_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_NET_TCP = 2  # connect; binding stays open: plugins of pytest bind a loopback port at start
_SCOPES = 3  # abstract unix sockets, signals


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def abi() -> int:
    """The kernel's Landlock ABI version; 0 where there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, 0, 1)))


def _fs_rights(version: int) -> int:
    """Every file-system right this kernel knows: what is handled and not allowed by a rule is refused."""
    rights = (1 << 13) - 1
    for since, bit in ((2, 1 << 13), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        if version >= since:
            rights |= bit
    return rights


def open_around(hidden: Iterable[str]) -> Iterator[str]:
    """The places below `/` that may be read when `hidden` may not: every sibling on the way down to a hidden path.

    Landlock can only allow, and what it allows holds for everything beneath.
    """
    closed = {os.path.realpath(path) for path in hidden}
    closed = {p for p in closed if p != "/"}
    above = {parent for path in closed for parent in _parents(path)} | {"/", "/proc"}
    waiting = ["/"]
    while waiting:
        directory = waiting.pop()
        if directory not in above:
            yield directory
            continue
        with contextlib.suppress(OSError):
            for name in os.listdir(directory):  # noqa: PTH208
                child = os.path.join(directory, name)  # noqa: PTH118 - this file is also a script that starts in milliseconds
                if directory == "/proc" and name.isdigit():
                    continue  # environment and memory of other processes: as root, Landlock alone does not close them
                if child not in closed and not os.path.islink(child):  # noqa: PTH114
                    waiting.append(child)


def _parents(path: str) -> Iterator[str]:
    while path != "/":
        path = os.path.dirname(path)  # noqa: PTH120
        yield path


def restrict(writable: Iterable[str], readable: Iterable[str], hidden: Iterable[str], network: bool) -> None:
    """Confine this process and all it starts. Raises OSError where the kernel cannot."""
    version, libc = abi(), _libc()
    if version < 1:
        raise OSError("this kernel has no Landlock")
    rights = _fs_rights(version)
    net = 0 if network or version < 4 else _NET_TCP
    attributes = _Ruleset(rights, net, _SCOPES if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(attributes), size, 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    for path in [*open_around(hidden), *readable, f"/proc/{os.getpid()}"]:
        _allow(libc, ruleset, path, _READ & rights)
    for path in [*writable, "/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/ptmx", "/dev/pts"]:
        _allow(libc, ruleset, path, rights)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0:
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(ruleset)


def _allow(libc: Any, ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):  # noqa: PTH112
            rights &= _FILE_RIGHTS
        rule = _PathBeneath(rights, place)
        if libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0) != 0:
            raise OSError(ctypes.get_errno(), f"landlock_add_rule {path}")
    finally:
        os.close(place)


def _limit(limits: dict[str, int]) -> None:
    import resource

    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is not None:
            _, most = resource.getrlimit(kind)
            value = value if most == resource.RLIM_INFINITY else min(value, most)  # noqa: PLW2901
            resource.setrlimit(kind, (value, value))


def _descendants() -> list[int]:
    parents: dict[int, int] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():  # noqa: PTH112, PTH208
        if name.isdigit():
            with (
                contextlib.suppress(OSError, ValueError, IndexError),
                open(f"/proc/{name}/stat", "rb") as stream,  # noqa: PTH123
            ):
                parents[int(name)] = int(stream.read().rpartition(b")")[2].split()[1])
    found, grew = {os.getpid()}, True
    while grew:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grew = bool(more)
    return sorted(found - {os.getpid()})


def _reap_all() -> None:
    """Kill until no child is left; a process that forks faster than we look is met again on the next round."""
    for _ in range(200):
        for pid in _descendants():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            while True:
                pid, _ = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
        except ChildProcessError:
            return
        signal.sigtimedwait((), 0.01)


def main(plan: dict[str, Any], argv: list[str]) -> int:
    """Start `argv` confined, wait for it, leave nothing behind, and end as it ended (128 + n for a signal)."""
    if sys.platform.startswith("linux"):
        _libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            _limit(plan["limits"])
            if plan["landlock"]:
                restrict(plan["writable"], plan["readable"], plan["hidden"], plan["network"])
            os.execvpe(argv[0], argv, os.environ)
        except OSError as error:
            os.write(2, f"agentflow sandbox: {error}\n".encode())
        os._exit(126)
    for fd in plan["fds"]:
        os.close(fd)

    def stop(*_: object) -> None:
        _reap_all()
        os._exit(128 + signal.SIGKILL)

    signal.signal(signal.SIGTERM, stop)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    _reap_all()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
