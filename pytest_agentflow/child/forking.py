"""How does one process fork once per request and pass on what the forks say, with limits on every one of them?"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pytest_agentflow.child.threads import threads_alive

Message = dict[str, Any]
LAST_WORD = b"\n\n"


def framed(message: Message) -> bytes:
    data = json.dumps(message).encode()
    return len(data).to_bytes(4, "big") + data


def send(fd: int, message: Message) -> None:
    data = framed(message)
    while data:
        data = data[os.write(fd, data) :]


def receive(fd: int) -> Message | None:
    """One message, or None when the other end is gone."""
    header = _exactly(fd, 4)
    body = _exactly(fd, int.from_bytes(header, "big")) if header else b""
    message: Message | None = json.loads(body) if body else None
    return message


def _exactly(fd: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = os.read(fd, size - len(data))
        if not chunk:
            return b""
        data += chunk
    return data


def threads() -> int:
    """Threads of this process that a fork would lose, itself included: a fork carries only one of them over."""
    return threads_alive() + 1


@dataclass
class Candidate:
    request: Message
    pid: int
    deadline: float
    began: float
    data: bytearray = field(default_factory=bytearray)


class Voice:
    """What a fork says over its pipe, a line per message.

    A write wakes the server, so a message that can `wait` (seconds since something was sent) is kept for the next one; what
    kills the fork loses it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._kept = b""
        self._sent = time.monotonic()

    def __call__(self, message: Message, wait: float = 0.0) -> None:
        self._kept += json.dumps(message).encode() + (LAST_WORD if "done" in message else b"\n")
        if time.monotonic() - self._sent >= wait:
            self.flush()

    def flush(self) -> None:
        while self._kept:
            self._kept = self._kept[os.write(self._fd, self._kept) :]
        self._sent = time.monotonic()


class ForkServer:
    """Reads requests, forks, listens to the forks. `serve` returns only inside a fork."""

    def __init__(
        self,
        channel: int,
        others: dict[str, Callable[[Message], Message]],
        check: Callable[[Message], Message | None] = lambda _request: None,
    ) -> None:
        self._channel = channel
        self._others = others
        self._check = check  # says what is known without a fork: a refusal
        self._running: dict[int, Candidate] = {}  # by the read end of its pipe
        self._selector = selectors.DefaultSelector()
        self._selector.register(channel, selectors.EVENT_READ)

    def serve(self) -> tuple[Message, Voice]:
        """Serve until the other end closes (then end the process); in a fork, return its request and its voice."""
        while True:
            for key, _ in self._selector.select(self._patience()):
                if key.fd != self._channel:
                    self._listen(key.fd)
                    continue
                message = receive(self._channel)
                if message is None:
                    self._end()
                elif message["op"] in self._others:
                    send(self._channel, self._others[message["op"]](message))
                elif (known := self._check(message)) is not None:
                    send(
                        self._channel,
                        {"n": message["n"], "said": json.dumps(known), "stopped": "", "signal": 0},
                    )
                elif (say := self._fork(message)) is not None:
                    return message, say
            self._stop_overdue()

    def _patience(self) -> float | None:
        if not self._running:
            return None
        return max(0.0, min(c.deadline for c in self._running.values()) - time.monotonic())

    def _fork(self, request: Message) -> Voice | None:
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._selector.close()
            for fd in (ours, self._channel, *self._running):
                os.close(fd)
            return Voice(theirs)
        os.close(theirs)
        now = time.monotonic()
        self._running[ours] = Candidate(request, pid, now + request["wall"], now)
        self._selector.register(ours, selectors.EVENT_READ)
        return None

    def _listen(self, fd: int) -> None:
        chunk = os.read(fd, 65536)
        data = self._running[fd].data
        data += chunk
        # The last word counts, not the end of the pipe: something that the candidate left running may hold it open.
        if not chunk or data.endswith(LAST_WORD):
            self._reap(fd, "")

    def _stop_overdue(self) -> None:
        now = time.monotonic()
        for fd, candidate in list(self._running.items()):
            if candidate.deadline <= now:
                _kill(candidate.pid)
                self._reap(fd, "wall")

    def _reap(self, fd: int, stopped: str) -> None:
        candidate = self._running.pop(fd)
        self._selector.unregister(fd)
        os.close(fd)
        _kill(candidate.pid)  # also whatever it left running in its group
        _, status, usage = os.wait4(candidate.pid, 0)
        shutil.rmtree(candidate.request["tmp"], ignore_errors=True)
        send(
            self._channel,
            {
                "n": candidate.request["n"],
                "said": bytes(candidate.data).decode("utf-8", "replace"),
                "stopped": stopped,
                "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
                "cpu": usage.ru_utime + usage.ru_stime,
                "wall": time.monotonic() - candidate.began,
            },
        )

    def _end(self) -> None:
        for candidate in self._running.values():
            _kill(candidate.pid)
        os._exit(0)


def _kill(pid: int) -> None:
    """The candidate and its process group; the group may not exist yet, or no longer."""
    for kill, target in ((os.killpg, pid), (os.kill, pid)):
        try:
            kill(target, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
