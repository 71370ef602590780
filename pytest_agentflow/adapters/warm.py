"""What does a candidate do to chosen tests, found out quickly? For screening only: a verdict is always a cold run.

A candidate is tried in a fork of the collected session (its functions swapped by exact identity); when that cannot be
shown to be safe, in a fork that imports the project afresh; when the machine or the project allows neither, in a process
of its own. The verdict says which, and whether the patched code ran.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from pytest_agentflow.adapters.sessions import RunSpec, run_session
from pytest_agentflow.adapters.warm_jobs import (
    BATCH,
    COLD,
    FRESH,
    HANGS,
    HOT,
    Job,
    Limits,
    WarmVerdict,
    batch_verdicts,
    lines,
    lost,
    steady,
    verdict,
)
from pytest_agentflow.adapters.warm_servers import Servers
from pytest_agentflow.child.forking import Message
from pytest_agentflow.core.model import Outcome

__all__ = ["BATCH", "COLD", "FRESH", "HANGS", "HOT", "Job", "Limits", "WarmRunner", "WarmVerdict", "steady"]
FULL = 1_000
LATER = 2_000_000_000  # seconds: bytecode is checked by second and size, which no two candidates may share


class WarmRunner:
    """Forks candidates of one tree. Submit jobs, take verdicts as they come; `judge` does both for one."""

    def __init__(self, memory_mb: int = 4096) -> None:
        self._memory_mb = memory_mb
        self._servers = Servers()
        self._jobs: dict[int, tuple[Job, str, str]] = {}  # number -> job, mode, why not faster
        self._batches: dict[int, tuple[list[Job], str]] = {}
        self._ready: list[tuple[Job, WarmVerdict]] = []
        self._cold: list[
            tuple[Job, WarmVerdict | None, Job, str]
        ] = []  # what to run, seen before, whole job, why
        self._places: dict[str, str] = {}  # path in the tree -> where it really is
        self._base: dict[str, bytes] = {}  # by that, what is in it
        self._programs: set[str] = set()  # tests known to start programs
        self._n = 0

    # life ----------------------------------------------------------------------------------------

    def start(
        self, spec: RunSpec, tree: Path, ids: Sequence[str], scratch: Path, timeout: float = 120.0
    ) -> None:
        """Prepare the servers on `tree` with the tests `ids` collected. Never raises for a project that resists."""
        self._spec, self._tree, self._scratch = spec, Path(os.path.realpath(tree)), scratch
        self._known = tuple(ids)
        self._servers.start(spec, self._tree, ids, scratch, timeout)

    @property
    def ids(self) -> tuple[str, ...]:
        """The tests that were collected."""
        return self._servers.ids

    @property
    def why(self) -> Mapping[str, str]:
        """Modes that are not available, with the reason."""
        return self._servers.why

    def close(self) -> None:
        """End the servers and everything they started."""
        self._servers.close()

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
        return self.under_way + len(self._cold) + len(self._ready)

    @property
    def under_way(self) -> int:
        """Requests that processes are working on, a batch being one; full as well while a cold run waits."""
        return (FULL if self._cold else 0) + len(self._jobs) + len(self._batches)

    def judge(
        self, files: Mapping[str, bytes], ids: Sequence[str], limits: Limits | None = None
    ) -> WarmVerdict:
        """One candidate, now."""
        self.submit(Job(files, tuple(ids), limits or Limits()))
        return self.next()[1]

    def only_warm(self, job: Job) -> WarmVerdict | None:
        """One job, now, or None where only a cold run could tell; nothing else may be under way."""
        self.submit(job)
        while self._jobs:
            self._listen()
        if self._cold:
            self._cold.clear()
            return None
        return self._ready.pop()[1]

    def submit(self, job: Job, why: str = "") -> None:
        """Start a job in the fastest mode that is available for it."""
        warm, why = self._warm_part(job, why)
        for mode in (HOT, FRESH)[0 if job.mode == HOT else 1 :] if warm.ids else ():
            if self._servers.send(mode, self._request(warm)):
                self._jobs[self._n] = (job, mode, why)
                return
            why = why or self.why.get(mode, "")
        self._cold.append((replace(job, mode=COLD), None, job, why))

    def _warm_part(self, job: Job, why: str) -> tuple[Job, str]:
        """The job without the tests that only a process of its own can tell about."""
        if job.mode == COLD:
            return replace(job, ids=()), why
        if any(self._place(path) in self._servers.loaded for path in job.files):
            return replace(job, ids=()), "a plugin of pytest had loaded it before collection began"
        if job.files and not self._programs.isdisjoint(job.ids):
            ids = tuple(i for i in job.ids if i not in self._programs)
            return replace(job, ids=ids), why or "a test starts programs, which find the tree on disk"
        return job, why

    def screen(self, jobs: Sequence[Job], expect: str) -> None:
        """Try jobs one after the other in one fork on their first test. Only red counts, and only when undisturbed:
        the base, tried last, must still fail with `expect` ("": not known yet)."""
        first = replace(jobs[0], files={}, ids=jobs[0].ids[:1])
        known = self._programs.isdisjoint(first.ids) and first.ids[0] in self.ids
        touched = {self._place(path) for job in jobs for path in job.files}
        if known and touched.isdisjoint(self._servers.loaded):
            request = self._request(first)
            request |= {"op": "batch", "batch": [self._files(job) for job in jobs], "expect": expect}
            request["wall"] = 10.0 + 2.0 * request["cpu"][""] * len(jobs)
            if self._servers.send(HOT, request):
                self._batches[self._n] = (list(jobs), expect)
                return
        self._ready += [(job, lost()) for job in jobs]

    def next(self) -> tuple[Job, WarmVerdict]:
        """The next verdict, whichever job it belongs to."""
        while True:
            if self._ready:
                return self._ready.pop(0)
            if not self._jobs and not self._batches:
                return self._run_cold(*self._cold.pop(0))
            self._listen()

    def _listen(self) -> None:
        told = self._servers.heard()
        if not told:
            self._lose(self._servers.channels())
        for fd, message in told:
            if message is None:
                self._lose([fd])
            else:
                self._take(message)

    def _take(self, message: Message) -> None:
        said = lines(message["said"])
        if message["n"] in self._batches:
            jobs, expect = self._batches.pop(message["n"])
            self._ready += zip(jobs, batch_verdicts(jobs, expect, said, message), strict=True)
            return
        job, mode, why = self._jobs.pop(message["n"])
        refused = next((m["refused"] for m in said if "refused" in m), None)
        if refused is not None:
            self.submit(replace(job, mode=FRESH), refused)
        else:
            self._file(job, verdict(self._warm_part(job, "")[0], mode, why, message, said))

    def _file(self, job: Job, seen: WarmVerdict) -> None:
        """A verdict is ready, unless tests are left that start programs and may still be green."""
        self._programs |= seen.programs
        suspect = [i for i in job.ids if i in self._programs] if job.files else []
        red = any(o.red for i, o in seen.outcomes.items() if i not in suspect)
        if not suspect or seen.killed == "invalid" or (red and job.limits.stop):
            self._ready.append((job, seen))
        else:
            again = replace(job, ids=tuple(suspect), mode=COLD)
            self._cold.append((again, seen, job, "a test starts programs, which find the tree on disk"))

    def _lose(self, fds: Sequence[int]) -> None:
        """A server died: what it was working on is tried again one mode slower."""
        for mode in [self._servers.mode_of(fd) for fd in fds if fd in self._servers.channels()]:
            self._servers.drop(mode, "the server went away")
            if mode == HOT:
                self._ready += [(job, lost()) for jobs, _ in self._batches.values() for job in jobs]
                self._batches.clear()
            for n, (job, used, _) in list(self._jobs.items()):
                if used == mode:
                    del self._jobs[n]
                    self.submit(replace(job, mode=FRESH if mode == HOT else COLD), "the server went away")

    # requests ------------------------------------------------------------------------------------

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
            "if_green": list(limits.if_green),
            "cpu": {**limits.per_test, "": limits.default},
            "startup_cpu": limits.startup,
            "wall": limits.wall,
            "memory_mb": self._memory_mb,
            "texts": str(self._tree) if job.texts else "",
            "tmp": str(self._scratch / "warm" / "forks" / str(self._n)),
        }

    def _files(self, job: Job) -> dict[str, tuple[int, int, str]]:
        """Where each file is, and what changes in it as offset, length dropped and bytes put in."""
        found = {}
        for path, new in job.files.items():
            place = self._place(path)
            if place not in self._base:
                self._base[place] = Path(place).read_bytes()
            base = self._base[place]
            start = _common(base, new)
            end = _common(base[start:][::-1], new[start:][::-1])
            found[place] = start, len(base) - start - end, new[start : len(new) - end].decode("latin-1")
        return found

    def _place(self, path: str) -> str:
        """Where a file of the tree really is; every candidate asks."""
        if path not in self._places:
            self._places[path] = os.path.realpath(self._tree / path)
        return self._places[path]

    # cold ----------------------------------------------------------------------------------------

    def _run_cold(
        self, job: Job, before: WarmVerdict | None, whole: Job, why: str
    ) -> tuple[Job, WarmVerdict]:
        """Write the candidate to the tree, run a session of its own, put the tree back; add to what was seen before."""
        self._n += 1
        scratch = self._scratch / "cold" / str(self._n)
        began, kept = time.monotonic(), {p: _as_it_is(self._tree / p) for p in job.files}
        try:
            for path, data in job.files.items():
                (self._tree / path).write_bytes(data)
                os.utime(self._tree / path, (LATER + self._n, LATER + self._n))
            record = run_session(
                self._spec,
                self._tree,
                ids=job.ids,
                known=self._known,
                scratch=scratch,
                timeout=max(job.limits.wall, 60.0),
                ordered=True,
                text=False,
            )
        finally:
            for path, (data, times) in kept.items():
                (self._tree / path).write_bytes(data)
                os.utime(self._tree / path, ns=times)
            shutil.rmtree(scratch, ignore_errors=True)
        found = {i: record.results[i].outcome if i in record.results else Outcome.MISSING for i in job.ids}
        messages = {
            i: f"{r.failure.kind}: {r.failure.message}" for i, r in record.results.items() if r.failure
        }
        seen = WarmVerdict(
            {**(before.outcomes if before else {}), **found},
            {**(before.messages if before else {}), **messages},
            COLD,
            rung=True,  # a process of its own imports what is on disk
            complete=record.problem is None,
            seconds=before.seconds if before else {},
            killed=record.problem or "",
            cpu=record.cpu + (before.cpu if before else 0.0),
            wall=time.monotonic() - began,
            why=why or "; ".join(f"{mode}: {why}" for mode, why in self.why.items()),
        )
        return (job if before is None else whole), seen


def _as_it_is(path: Path) -> tuple[bytes, tuple[int, int]]:
    stat = path.stat()
    return path.read_bytes(), (stat.st_atime_ns, stat.st_mtime_ns)


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
