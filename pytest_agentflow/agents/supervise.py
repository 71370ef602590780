"""How did a started program end: by itself, by the clock, or because the run is stopping? With its output, capped."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

from pytest_agentflow.adapters import sandbox

HEAD = 256 * 1024
TAIL = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ended:
    """What came out of one supervised program."""

    exit_code: int | None
    why: str  # "exited", "timeout" or "cancelled"
    stdout: bytes
    stderr: bytes
    dropped: int  # bytes of output beyond the cap
    seconds: float


@dataclass
class Capped:
    """Keeps the head and the tail of a stream, so that a flood costs no memory and no disk."""

    head: int = HEAD
    tail: int = TAIL
    total: int = 0
    _first: bytearray = field(default_factory=bytearray)
    _last: bytearray = field(default_factory=bytearray)

    def add(self, chunk: bytes) -> None:
        self.total += len(chunk)
        room = self.head - len(self._first)
        self._first += chunk[:room]
        self._last += chunk[room:] if room > 0 else chunk
        if len(self._last) > 2 * self.tail:
            del self._last[: -self.tail]

    @property
    def dropped(self) -> int:
        return max(0, self.total - self.head - self.tail)

    def bytes(self) -> bytes:
        last = bytes(self._last[-self.tail :])
        cut = f"\n[… {self.dropped:,} bytes cut …]\n".encode() if self.dropped else b""
        return bytes(self._first) + cut + last


def supervise(
    process: subprocess.Popen[bytes],
    *,
    stdin: bytes = b"",
    deadline: float,
    cancelled: Callable[[], bool],
) -> Ended:
    """Feed, drain and bound a program that was started in a box; nothing of the box is alive on return."""
    started = time.monotonic()
    out, err = Capped(), Capped()
    threads = [_thread(_drain, process.stdout, out), _thread(_drain, process.stderr, err)]
    feeder = _thread(_feed, process.stdin, stdin)
    why = "exited"
    try:
        while process.poll() is None:
            if time.monotonic() - started > deadline:
                why = "timeout"
                break
            if cancelled():
                why = "cancelled"
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.1)
    finally:
        sandbox.kill(process)  # all of the box, also daemons that left the process group
    for thread in (*threads, feeder):
        thread.join(timeout=2.0)  # a daemon that kept the pipe open must not hold us
    return Ended(
        process.returncode,
        why,
        out.bytes(),
        err.bytes(),
        out.dropped + err.dropped,
        time.monotonic() - started,
    )


def _thread(work: Callable[..., None], *args: object) -> threading.Thread:
    thread = threading.Thread(target=work, args=args, daemon=True)
    thread.start()
    return thread


def _drain(stream: IO[bytes] | None, into: Capped) -> None:
    if stream is None:
        return
    with contextlib.suppress(OSError, ValueError):
        while chunk := os.read(stream.fileno(), 65536):
            into.add(chunk)
    with contextlib.suppress(OSError):
        stream.close()


def _feed(stream: IO[bytes] | None, data: bytes) -> None:
    if stream is None:
        return
    with contextlib.suppress(OSError, ValueError):
        stream.write(data)
        stream.flush()
    with contextlib.suppress(OSError):
        stream.close()
