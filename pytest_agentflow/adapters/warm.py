"""What does a candidate do to chosen tests, found out quickly? For screening only: a verdict is always a cold run.

A candidate is tried in a fork of the collected session (its functions swapped by exact identity); when that cannot be
shown to be safe, in a fork that imports the project afresh; when the machine or the project allows neither, in a process
of its own. The verdict says which, and whether the patched code ran.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from pytest_agentflow.adapters import sandbox
from pytest_agentflow.adapters.sessions import RunSpec, box_of, child_environment, run_session, session_argv
from pytest_agentflow.child.warm import CHANNELS
from pytest_agentflow.child.warm_server import Message, receive, send
from pytest_agentflow.core.model import Outcome

HOT, FRESH, COLD = "hot", "fresh", "cold"
FULL = 1_000
BATCH = "batch"  # many candidates in one process: good for screening out, for nothing else
WARM_ARGS = ("-p", "pytest_agentflow.child.warm", "-p", "no:cacheprovider")
# Without xdist, because other plugins start threads when it is there; with it where the project's own options need it.
EXTRA_ARGS = (("-p", "no:xdist"), ("-n0",))


@dataclass(frozen=True, slots=True)
class Limits:
    """CPU seconds per test (by id, `default` for the rest), and what ends a run early."""

    default: float = 10.0
    per_test: Mapping[str, float] = field(default_factory=dict)
    wall: float = 60.0
    startup: float = 30.0  # CPU seconds a fresh import may take
    stop: bool = True  # at the first test that is not green …
    keep_going: frozenset[str] = frozenset()  # … except these


@dataclass(frozen=True, slots=True)
class Job:
    """One candidate (whole file contents by path, empty for the base) and the tests to run on it, in order."""

    files: Mapping[str, bytes]
    ids: tuple[str, ...]
    limits: Limits = Limits()
    mode: str = HOT  # the fastest mode to try
    tag: Any = None  # the caller's own


@dataclass(frozen=True, slots=True)
class WarmVerdict:
    """What was seen. `outcomes` holds the tests that ran; what was not reached because of `stop` is absent."""

    outcomes: Mapping[str, Outcome]
    messages: Mapping[str, str]
    mode: str
    rung: bool  # patched code was entered in this process
    complete: bool  # it said its last word
    seconds: Mapping[str, float] = field(default_factory=dict)
    killed: str = (
        ""  # "", "cpu", "wall", "crash", "invalid" (no Python) or, in a batch, "lost" (did not get its turn)
    )
    cpu: float = 0.0
    wall: float = 0.0
    why: str = ""  # why not faster

    def green(self, ids: Sequence[str]) -> bool:
        return all(self.outcomes.get(i) is Outcome.PASSED for i in ids)


class WarmRunner:
    """Forks candidates of one tree. Submit jobs, take verdicts as they come; `judge` does both for one."""

    def __init__(self, memory_mb: int = 4096) -> None:
        self._memory_mb = memory_mb
        self._process: subprocess.Popen[bytes] | None = None
        self._channels: dict[int, str] = {}  # fd -> HOT or FRESH
        self._jobs: dict[int, tuple[Job, str, str]] = {}
        self._batches: dict[int, tuple[list[Job], str]] = {}
        self._ready: list[tuple[Job, WarmVerdict]] = []
        self._cold: list[Job] = []
        self._base: dict[str, bytes] = {}
        self._n = 0
        self.ids: tuple[str, ...] = ()
        self.why: dict[str, str] = {}  # modes that are not available, with the reason

    # life ----------------------------------------------------------------------------------------

    def start(
        self, spec: RunSpec, tree: Path, ids: Sequence[str], scratch: Path, timeout: float = 120.0
    ) -> None:
        """Prepare the servers on `tree` with the tests `ids` collected. Never raises for a project that resists."""
        self._spec, self._tree, self._scratch = spec, Path(os.path.realpath(tree)), scratch
        self._top, self._wanted = str(self._tree), tuple(ids)
        if not hasattr(os, "fork") or not Path("/proc/self/task").is_dir():
            self._refuse_all("this system cannot fork safely")
            return
        deadline = time.monotonic() + timeout
        for extra in EXTRA_ARGS:
            self.close()
            self.why = {}
            self._open(extra)
            self._settle(deadline)
            if not self.why or "threads" in self.why.get(HOT, ""):
                return

    def _open(self, extra: Sequence[str]) -> None:
        pairs = [socket.socketpair() for _ in (FRESH, HOT)]
        self._launch([theirs for _, theirs in pairs], extra)
        for (ours, theirs), mode in zip(pairs, (FRESH, HOT), strict=True):
            theirs.close()
            self._channels[ours.detach()] = mode

    def _launch(self, ends: Sequence[socket.socket], extra: Sequence[str]) -> None:
        scratch = self._scratch / "warm"
        (scratch / "forks").mkdir(parents=True, exist_ok=True)
        fds = [end.fileno() for end in ends]
        env = child_environment(self._spec, self._tree, scratch, 0, {CHANNELS: ",".join(map(str, fds))})
        argv = session_argv(self._spec, self._tree, scratch, None, (), (*WARM_ARGS, *extra))
        box = box_of(self._spec, (self._tree, self._scratch))
        self._output = (self._scratch / "warm" / "output.log").open("wb")
        self._process = sandbox.popen(
            box,
            argv,
            cwd=self._tree,
            env=env,
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    def _settle(self, deadline: float) -> None:
        """Tell the nursery what to collect, hear from both servers, drop those that are not safe to fork."""
        by_mode = {mode: fd for fd, mode in self._channels.items()}
        files = dict.fromkeys(str(self._tree / i.partition("::")[0]) for i in self._wanted)
        setup = {"top": self._top, "rootdir": self._spec.rootdir, "paths": list(files)}
        with contextlib.suppress(OSError):
            send(by_mode[FRESH], setup)
        for mode, what in ((FRESH, "the nursery"), (HOT, "the collected session")):
            hello = self._hear(by_mode[mode], deadline)
            if hello is None:
                self._drop(mode, f"{what} did not come up")
            elif hello["threads"] > 1:
                self._drop(mode, f"{what} runs {hello['threads']} threads")
            elif hello.get("sockets"):
                self._drop(mode, f"{what} holds {hello['sockets']} open sockets")
            elif mode == HOT:
                self.ids = tuple(hello["ids"])
            if hello is not None and mode == HOT and FRESH not in self.why:
                self._preload(by_mode[FRESH], hello["modules"], deadline)

    def _preload(self, fd: int, modules: Sequence[str], deadline: float) -> None:
        send(fd, {"op": "preload", "modules": list(modules)})
        told = self._hear(fd, deadline)
        if told is None or told["threads"] > 1:
            self._drop(FRESH, "an imported library runs threads")

    def _hear(self, fd: int, deadline: float) -> Message | None:
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        try:
            return receive(fd) if ready else None
        except OSError:
            return None

    def _drop(self, mode: str, why: str) -> None:
        self.why[mode] = why
        for fd in [fd for fd, m in self._channels.items() if m == mode]:
            os.close(fd)
            del self._channels[fd]

    def _refuse_all(self, why: str) -> None:
        self.why = {HOT: why, FRESH: why}

    def close(self) -> None:
        """End the servers and everything they started."""
        for mode in (HOT, FRESH):
            self._drop(mode, "closed")
        if self._process is not None:
            sandbox.kill(self._process)
            self._output.close()
            self._process = None

    def __enter__(self) -> WarmRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # work ----------------------------------------------------------------------------------------

    @property
    def busy(self) -> int:
        """Requests under way (a batch is one) and results that wait to be taken.

        A cold run writes to the tree, so nothing may run beside it: while one waits, this counts as full.
        """
        return (
            (FULL if self._cold else 0)
            + len(self._jobs)
            + len(self._batches)
            + len(self._cold)
            + len(self._ready)
        )

    def judge(
        self, files: Mapping[str, bytes], ids: Sequence[str], limits: Limits | None = None
    ) -> WarmVerdict:
        """One candidate, now."""
        self.submit(Job(files, tuple(ids), limits or Limits()))
        return self.next()[1]

    def submit(self, job: Job, why: str = "") -> None:
        """Start a job in the fastest mode that is available for it."""
        by_mode = {mode: fd for fd, mode in self._channels.items()}
        for mode in (HOT, FRESH)[0 if job.mode == HOT else 1 :] if job.mode != COLD else ():
            if mode in by_mode:
                try:
                    send(by_mode[mode], self._request(job))
                except OSError:
                    self._drop(mode, "the server went away")
                    continue
                self._jobs[self._n] = (job, mode, why)
                return
            why = why or self.why.get(mode, "")
        self._cold.append(replace(job, mode=COLD))

    def screen(self, jobs: Sequence[Job], expect: str) -> None:
        """Try jobs one after the other in one fork on their first test. Only red counts, and only when undisturbed:
        the base, tried last, must still fail with `expect`."""
        fd = next((fd for fd, mode in self._channels.items() if mode == HOT), None)
        if fd is not None:
            request = self._request(replace(jobs[0], files={}, ids=jobs[0].ids[:1]))
            request |= {"op": "batch", "batch": [self._files(job) for job in jobs]}
            request["wall"] = 10.0 + 2.0 * request["cpu"][""] * len(jobs)
            try:
                send(fd, request)
                self._batches[self._n] = (list(jobs), expect)
                return
            except OSError:
                self._drop(HOT, "the server went away")
        self._ready += [(job, _lost()) for job in jobs]

    def next(self) -> tuple[Job, WarmVerdict]:
        """The next verdict, whichever job it belongs to."""
        while True:
            if self._ready:
                return self._ready.pop(0)
            if not self._jobs and not self._batches:
                return self._run_cold(self._cold.pop(0))
            ready, _, _ = select.select(list(self._channels), [], [], 600.0)
            if not ready:
                self._lose(list(self._channels))
            for fd in ready:
                self._take(fd)

    def _take(self, fd: int) -> None:
        try:
            message = receive(fd)
        except OSError:
            message = None
        if message is None:
            self._lose([fd])
            return
        said = _lines(message["said"])
        if message["n"] in self._batches:
            jobs, expect = self._batches.pop(message["n"])
            self._ready += zip(jobs, _batch_verdicts(jobs, expect, said, message), strict=True)
            return
        job, mode, why = self._jobs.pop(message["n"])
        refused = next((m["refused"] for m in said if "refused" in m), None)
        if refused is not None:
            self.submit(replace(job, mode=FRESH), refused)
        else:
            self._ready.append((job, _verdict(job, mode, why, message, said)))

    def _lose(self, fds: Sequence[int]) -> None:
        """A server died: what it was working on is tried again one mode slower."""
        for fd in fds:
            mode = self._channels[fd]
            self._drop(mode, "the server went away")
            if mode == HOT:
                self._ready += [(job, _lost()) for jobs, _ in self._batches.values() for job in jobs]
                self._batches.clear()
            for n, (job, used, _) in list(self._jobs.items()):
                if used == mode:
                    del self._jobs[n]
                    self.submit(replace(job, mode=FRESH if mode == HOT else COLD), "the server went away")

    def _request(self, job: Job) -> Message:
        self._n += 1
        limits = job.limits
        return {
            "op": "run",
            "n": self._n,
            "files": self._files(job),
            "ids": job.ids,
            "paths": list(dict.fromkeys(str(self._tree / i.partition("::")[0]) for i in job.ids)),
            "stop": limits.stop,
            "keep_going": list(limits.keep_going),
            "cpu": {**limits.per_test, "": limits.default},
            "startup_cpu": limits.startup,
            "wall": limits.wall,
            "memory_mb": self._memory_mb,
            "tmp": str(self._scratch / "warm" / "forks" / str(self._n)),
        }

    def _files(self, job: Job) -> dict[str, tuple[int, int, str]]:
        return {os.path.realpath(self._tree / p): self._delta(p, new) for p, new in job.files.items()}

    def _delta(self, path: str, new: bytes) -> tuple[int, int, str]:
        """What a file changes against the tree, as offset, length dropped and bytes put in."""
        base = self._base.get(path)
        if base is None:
            base = self._base[path] = (self._tree / path).read_bytes()
        start = _common(base, new)
        end = _common(base[start:][::-1], new[start:][::-1])
        return start, len(base) - start - end, new[start : len(new) - end].decode("latin-1")

    def _run_cold(self, job: Job) -> tuple[Job, WarmVerdict]:
        """Write the candidate to the tree, run a session of its own, put the tree back."""
        self._n += 1
        # A directory of its own: bytecode is checked by second and size, which a candidate may share with the base.
        scratch = self._scratch / "cold" / str(self._n)
        began, kept = time.monotonic(), {p: (self._tree / p).read_bytes() for p in job.files}
        try:
            for path, data in job.files.items():
                (self._tree / path).write_bytes(data)
            record = run_session(
                replace(self._spec, bytecode=""),
                self._tree,
                ids=job.ids,
                scratch=scratch,
                timeout=max(job.limits.wall, 60.0),
                ordered=True,
                text=False,
            )
        finally:
            for path, data in kept.items():
                (self._tree / path).write_bytes(data)
            shutil.rmtree(scratch, ignore_errors=True)
        outcomes = {i: record.results[i].outcome if i in record.results else Outcome.MISSING for i in job.ids}
        messages = {
            i: f"{r.failure.kind}: {r.failure.message}" for i, r in record.results.items() if r.failure
        }
        return job, WarmVerdict(
            outcomes,
            messages,
            COLD,
            rung=True,  # a process of its own imports what is on disk
            complete=record.problem is None,
            killed=record.problem or "",
            cpu=record.cpu,
            wall=time.monotonic() - began,
            why="; ".join(f"{mode}: {why}" for mode, why in self.why.items()),
        )


def _common(a: bytes, b: bytes) -> int:
    """Length of the common prefix, by halving: comparing slices is the fastest loop there is."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _lines(said: str) -> list[Message]:
    """What a fork said; the project's code could have written to the pipe too, and nonsense is not a message."""
    found = []
    for line in said.splitlines():
        try:
            message = json.loads(line) if line else None
        except ValueError:
            continue
        if isinstance(message, dict):
            found.append(message)
    return found


def _lost() -> WarmVerdict:
    return WarmVerdict({}, {}, BATCH, rung=False, complete=False, killed="lost")


def steady(message: str) -> str:
    """A failure's message without what differs from run to run."""
    return re.sub(r"0x[0-9a-f]+", "0x", message)


def _batch_verdicts(
    jobs: Sequence[Job], expect: str, said: Sequence[Message], message: Message
) -> list[WarmVerdict]:
    """One verdict per job of a batch; `complete` only when the base failed as before at the end."""
    by_place: dict[int, Message] = {}
    for m in said:
        if "c" in m:
            by_place[m["c"]] = {**by_place.get(m["c"], {}), **m}
    last = by_place.get(len(jobs), {})
    clean = "outcome" not in last or (
        last["outcome"] in ("failed", "error") and steady(last["message"]) == expect
    )
    share = message.get("cpu", 0.0) / max(1, len(by_place))
    found = []
    for n, job in enumerate(jobs):
        m = by_place.get(n, {})
        if "invalid" in m:
            found.append(replace(_lost(), killed="invalid"))
        elif "outcome" in m:
            test, outcome = job.ids[0], Outcome(m["outcome"])
            found.append(
                WarmVerdict(
                    {test: outcome}, {test: m["message"]}, BATCH, False, clean, {test: m["cpu"]}, "", share
                )
            )
        elif "begun" in m and not message["stopped"] and message["signal"] == signal.SIGPROF:
            found.append(
                WarmVerdict({job.ids[0]: Outcome.TIMEOUT}, {}, BATCH, False, True, killed="cpu", cpu=share)
            )
        else:
            found.append(replace(_lost(), cpu=share, why=m.get("refused", "")))
    return found


def _verdict(job: Job, mode: str, why: str, message: Message, said: Sequence[Message]) -> WarmVerdict:
    tests = [m for m in said if "id" in m]
    outcomes = {m["id"]: Outcome(m["outcome"]) for m in tests}
    last = next((m for m in said if "done" in m), None)
    killed = ""
    if any("invalid" in m for m in said):
        killed = "invalid"
    elif last is None:
        killed = "wall" if message["stopped"] else "cpu" if message["signal"] == signal.SIGPROF else "crash"
        running = next((i for i in job.ids if i not in outcomes), None)
        if running is not None:
            outcomes[running] = Outcome.CRASHED if killed == "crash" else Outcome.TIMEOUT
    elif not (job.limits.stop and any(o.red for o in outcomes.values())):
        outcomes.update({i: Outcome.MISSING for i in job.ids if i not in outcomes})
    return WarmVerdict(
        outcomes,
        {m["id"]: m["message"] for m in tests if m["message"]},
        mode,
        rung=bool(last and last["rung"]),
        complete=last is not None,
        seconds={m["id"]: m["cpu"] for m in tests},
        killed=killed,
        cpu=message.get("cpu", 0.0),
        wall=message.get("wall", 0.0),
        why=why,
    )
