"""How is a machine kept busy beside a test, and how does the test come to feel it?"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

# Both end when whoever started them is gone: a killed triage must not leave a busy machine behind.
HOG = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(1_000_000): pass
"""
SYNCER = """
import os, sys
with open(sys.argv[2], "wb", buffering=0) as f:
    while os.getppid() == int(sys.argv[1]):
        f.seek(0); f.write(b"x" * 4194304); os.fsync(f.fileno())
"""
SYNCERS = 3


def pin() -> None:
    """Stay on one core, the one that the CPU hogs are on, and yield to them."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with contextlib.suppress(AttributeError, OSError):
        os.nice(5)
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as group:  # noqa: PTH123
        group.write("5")  # where the scheduler shares by session, niceness counts within a session only


def start_load(burners: int, disk: str | None) -> list[subprocess.Popen[bytes]]:
    """CPU hogs on one core, and processes that write and sync beside the path `disk`. The caller kills them."""
    commands = [[sys.executable, "-I", "-S", "-c", HOG, str(os.getpid())] for _ in range(burners)]
    if disk:
        commands += [
            [sys.executable, "-I", "-S", "-c", SYNCER, str(os.getpid()), f"{disk}.{n}"]
            for n in range(SYNCERS)
        ]
    started = []
    for command in commands:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # schedulers that share by session must not put all hogs into one share
        )
        started.append(process)
        if HOG in command:
            with contextlib.suppress(AttributeError, OSError):
                os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
    return started


def stop_load(processes: list[subprocess.Popen[bytes]], written: Path | None = None) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()
    if written is not None:
        for n in range(SYNCERS):
            written.with_name(f"{written.name}.{n}").unlink(missing_ok=True)
