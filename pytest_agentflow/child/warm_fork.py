"""What must a forked candidate have for itself before it runs anything, and what in a session cannot be shared at all?"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

# Programs that cannot run the project's code: whatever else a test starts finds the tree on disk, not the candidate.
HARMLESS = {
    "git",
    "uname",
    "id",
    "whoami",
    "hostname",
    "ldconfig",
    "gcc",
    "cc",
    "ld",
    "objdump",
    "lsb_release",
}
HARMLESS |= {"true", "false", "echo", "sleep", "cat", "ls"}
File = tuple[int, int, int]  # descriptor, flags, offset


def prepare(tmp: str, startup_cpu: float, memory_mb: int) -> None:
    """A process group, a temporary directory and limits of its own."""
    os.setpgid(0, 0)
    os.makedirs(tmp, exist_ok=True)  # noqa: PTH103 - pathlib costs more than the fork
    os.environ["TMPDIR"] = tmp
    tempfile.tempdir = None
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, startup_cpu)
    if memory_mb:
        limit = memory_mb << 20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def open_files(channel: int) -> tuple[list[File], int]:
    """Regular files that the session holds open, whose offset forks would share; and how many sockets, which they would too."""
    files, sockets = [], 0
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        fd = int(name)
        try:
            target = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
            sockets += target.startswith("socket:") and fd != channel
            if fd > 2 and target.startswith("/") and not target.startswith(("/dev/", "/proc/", "/memfd:")):
                files.append((fd, fcntl.fcntl(fd, fcntl.F_GETFL), os.lseek(fd, 0, os.SEEK_CUR)))
        except OSError:
            continue
    return files, sockets


def reopen(files: Iterable[File]) -> None:
    """The same files at the same place, at an offset of this process's own."""
    for fd, flags, offset in files:
        try:
            own = os.open(f"/proc/self/fd/{fd}", flags & ~(os.O_CREAT | os.O_EXCL | os.O_TRUNC))
            os.lseek(own, offset, os.SEEK_SET)
            os.dup2(own, fd, inheritable=os.get_inheritable(fd))
            os.close(own)
        except OSError:
            continue


def shares_memory() -> bool:
    """Locks and arrays of multiprocessing: a fork that is killed would leave them locked for all the others."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:  # noqa: PTH123
        return any(line.split(None, 2)[1] == "rw-s" for line in maps)


def fresh_capture(config: pytest.Config) -> None:
    """Forks share pytest's capture files: give this one files of its own behind the same descriptors."""
    capman: Any = config.pluginmanager.getplugin("capturemanager")
    capturing = getattr(capman, "_global_capturing", None)
    for stream in (getattr(capturing, "out", None), getattr(capturing, "err", None)):
        fd = getattr(stream, "tmpfile", None)
        if fd is not None and hasattr(stream, "targetfd"):
            memory = os.memfd_create("capture")
            os.dup2(memory, fd.fileno(), inheritable=False)
            os.close(memory)


def fresh_tmp_path(config: pytest.Config, tmp: str) -> None:
    factory: Any = getattr(config, "_tmp_path_factory", None)
    if factory is not None:
        factory._basetemp = None
        factory._given_basetemp = Path(tmp) / "pytest"


class Programs:
    """Notes when a test starts a program that could import the project from disk."""

    def __init__(self) -> None:
        self.started = ""

    def watch(self) -> None:
        import _posixsubprocess

        sys.addaudithook(self._hear)
        real = _posixsubprocess.fork_exec

        def fork_exec(*args: Any) -> int:  # multiprocessing calls it without an audit event
            self._note(args[0])
            return real(*args)

        _posixsubprocess.fork_exec = fork_exec

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if event in ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.spawn"):
            self._note(args[1] if event == "subprocess.Popen" else args[:1])
        elif event == "os.system":
            self._note(["sh"])

    def _note(self, argv: Any) -> None:
        first = argv if isinstance(argv, str | bytes | os.PathLike) else next(iter(argv or ()), "")
        name = os.path.basename(os.fsdecode(first))  # noqa: PTH119
        if name not in HARMLESS:
            self.started = name or "a program"
