"""How do the two servers of the warm runner come up, what do they say of themselves, and which of them may be used?"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pytest_agentflow.adapters import sandbox
from pytest_agentflow.adapters.sessions import RunSpec, box_of, child_environment, session_argv
from pytest_agentflow.adapters.warm_jobs import FRESH, HOT
from pytest_agentflow.child.forking import Message, framed, receive, send
from pytest_agentflow.child.warm import CHANNELS
from pytest_agentflow.core.unsteady import siblings

WARM_ARGS = ("-p", "pytest_agentflow.child.warm", "-p", "no:cacheprovider")
# Without xdist, because other plugins start threads when it is there; with it where the project's own options need it.
EXTRA_ARGS = (("-p", "no:xdist"), ("-n0",))
SILENCE = 600.0  # seconds without a word from any server
CHUNK = 32_768  # bytes: a socket that can be written to takes so many without waiting
PRELOAD = 60.0  # seconds that the installed libraries may take to import


class Servers:
    """The nursery and the collected session of one tree, each behind a socket."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._modes: dict[int, str] = {}  # fd -> HOT or FRESH
        self._modules: list[str] = []  # installed ones that the session imports, for the nursery
        self.ids: tuple[str, ...] = ()
        self.loaded: frozenset[str] = frozenset()  # files that pytest's plugins loaded: never warm
        self.why: dict[str, str] = {}  # modes that are not available, with the reason
        self._heard: list[tuple[int, Message | None]] = []  # said while we were writing

    # life ----------------------------------------------------------------------------------------

    def start(self, spec: RunSpec, tree: Path, ids: Sequence[str], scratch: Path, timeout: float) -> None:
        """Prepare both on `tree` with the tests `ids` collected. Never raises for a project that resists."""
        if not hasattr(os, "fork") or not Path("/proc/self/task").is_dir():
            self.why = dict.fromkeys((HOT, FRESH), "this system cannot fork safely")
            return
        deadline = time.monotonic() + timeout
        paths = list(dict.fromkeys(str(tree / i.partition("::")[0]) for i in ids))
        setup = {"top": str(tree), "rootdir": spec.rootdir, "paths": paths, "known": siblings(ids, ids)}
        for extra in EXTRA_ARGS:
            self.close()
            self.why = {}
            self._open(spec, tree, scratch / "warm", extra)
            self._settle(setup, deadline)
            if not self.why or "threads" in self.why.get(HOT, ""):
                return

    def close(self) -> None:
        """End the servers and everything they started."""
        for mode in (HOT, FRESH):
            self.drop(mode, "closed")
        if self._process is not None:
            sandbox.kill(self._process)
            self._process = None

    def _open(self, spec: RunSpec, tree: Path, scratch: Path, extra: Sequence[str]) -> None:
        (scratch / "forks").mkdir(parents=True, exist_ok=True)
        pairs = {mode: socket.socketpair() for mode in (FRESH, HOT)}
        fds = [theirs.fileno() for _, theirs in pairs.values()]
        env = child_environment(spec, tree, scratch, 0, {CHANNELS: ",".join(map(str, fds))})
        if "no:xdist" in extra:  # then no argument of xdist's may be left
            spec = replace(spec, plugins=tuple(p for p in spec.plugins if p != "xdist"))
        box = replace(box_of(spec, (tree, scratch.parent)), fixed_layout=True)
        with (scratch / "output.log").open("wb") as output:
            self._process = sandbox.popen(
                box,
                session_argv(spec, tree, scratch, None, (), (*WARM_ARGS, *extra)),
                cwd=tree,
                env=env,
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        for mode, (ours, theirs) in pairs.items():
            theirs.close()
            self._modes[ours.detach()] = mode

    def _settle(self, setup: Message, deadline: float) -> None:
        """Tell the nursery what to collect, hear from both servers, drop those that are not safe to fork."""
        nursery, collected = self.channel(FRESH), self.channel(HOT)
        assert nursery is not None
        assert collected is not None
        with contextlib.suppress(OSError):
            send(nursery, setup)
        hello = _hear(nursery, deadline)
        if not self._refused(FRESH, "the nursery", hello):
            self.loaded = frozenset((hello or {})["loaded"])
        hello = _hear(collected, deadline)
        if not self._refused(HOT, "the collected session", hello):
            self.ids, self._modules = tuple((hello or {})["ids"]), (hello or {})["modules"]

    def _refused(self, mode: str, what: str, hello: Message | None) -> bool:
        if hello is None:
            self.drop(mode, f"{what} did not come up")
        elif hello["threads"] > 1:
            self.drop(mode, f"{what} runs {hello['threads']} threads")
        elif hello.get("sockets"):
            self.drop(mode, f"{what} holds {hello['sockets']} open sockets")
        elif hello.get("unsafe"):
            self.drop(mode, hello["unsafe"])
        return mode in self.why

    # talk ----------------------------------------------------------------------------------------

    def channel(self, mode: str) -> int | None:
        """The socket to the server of a mode, when there is one."""
        return next((fd for fd, m in self._modes.items() if m == mode), None)

    def channels(self) -> list[int]:
        return list(self._modes)

    def mode_of(self, fd: int) -> str:
        return self._modes[fd]

    def send(self, mode: str, message: Message) -> bool:
        """False when there is no such server, or no longer."""
        fd = self.channel(mode)
        if fd is None:
            return False
        try:
            if mode == FRESH and self._modules:
                # Not before the first fresh import is asked for: many attempts need none.
                send(fd, {"op": "preload", "modules": self._modules})
                self._modules = []
                if _hear(fd, time.monotonic() + PRELOAD) is None:
                    raise OSError
            self._write(fd, framed(message))
        except OSError:
            self.drop(mode, "the server went away")
            return False
        return True

    def _write(self, fd: int, data: bytes) -> None:
        """Write, and listen meanwhile: a server that has more to say than its socket holds reads nothing before it has said it."""
        while data:
            readable, writable, _ = select.select(self.channels(), [fd], [], SILENCE)
            if not readable and not writable:
                raise TimeoutError
            self._heard += [(other, _received(other)) for other in readable]
            if (fd, None) in self._heard:
                raise BrokenPipeError
            if writable:
                data = data[os.write(fd, data[:CHUNK]) :]

    def heard(self) -> list[tuple[int, Message | None]]:
        """What servers said, by socket, as soon as there is something; None for a server that is gone, nothing after a long silence."""
        if not self._heard:
            ready, _, _ = select.select(self.channels(), [], [], SILENCE)
            self._heard += [(fd, _received(fd)) for fd in ready]
        found, self._heard = self._heard, []
        return [(fd, message) for fd, message in found if fd in self._modes]

    def drop(self, mode: str, why: str) -> None:
        self.why[mode] = why
        fd = self.channel(mode)
        if fd is not None:
            os.close(fd)
            del self._modes[fd]


def _hear(fd: int, deadline: float) -> Message | None:
    ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
    return _received(fd) if ready else None


def _received(fd: int) -> Message | None:
    try:
        return receive(fd)
    except OSError:
        return None
