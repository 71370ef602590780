"""How are the tests of a workspace run again and again while an agent edits it, at the price of a fork where that is safe?

The servers hold a copy of the workspace as it was when they were started; what has changed since is the candidate.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.adapters.warm import Job, Limits, WarmRunner, WarmVerdict
from pytest_agentflow.core.model import Outcome, SessionRecord, TestResult

LEFT_OUT = {".git", ".agentflow", "__pycache__", ".pytest_cache", "node_modules"}
FILES_MOST = 20_000  # in a workspace; copying more costs more than cold runs
Stamp = tuple[int, int]  # size, modification time in nanoseconds


class WarmTests:
    """The prepared session of one workspace; `run` says None, and `why`, where only a cold run can tell."""

    def __init__(self, spec: RunSpec, workspace: Path, scratch: Path, ids: Sequence[str]) -> None:
        self._spec, self._workspace, self._scratch, self._ids = spec, workspace, scratch, tuple(ids)
        self._runner: WarmRunner | None = None
        self._stamps: dict[str, Stamp] = {}
        self._starts = 0
        self.why = ""

    def __enter__(self) -> WarmTests:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the servers and remove the copy."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None
            shutil.rmtree(self._copy, ignore_errors=True)

    def run(self, ids: Sequence[str], timeout: float) -> SessionRecord | None:
        """The tests on the workspace as it is now, failures with their tracebacks."""
        if any("::" not in i for i in ids):
            self.why = "a module was asked for as a whole"
            return None
        if self._runner is None and not self._start():
            return None
        assert self._runner is not None
        changed = self._changed()
        if changed is None:
            self.close()  # the next call starts from what is there then
            self.why = "files other than known Python modules have changed"
            return None
        limits = Limits(default=timeout, wall=timeout, stop=False)
        verdict = self._runner.only_warm(Job(changed, tuple(ids), limits, texts=True))
        if verdict is None or not verdict.complete or (changed and not verdict.rung):
            self.why = "the edit's effect could only be shown by a session of its own"
            return None
        return _record(ids, verdict)

    @property
    def _copy(self) -> Path:
        return self._scratch / f"warm-base-{self._starts}"

    def _start(self) -> bool:
        self._starts += 1
        self._stamps = dict(self._files())
        if len(self._stamps) > FILES_MOST:
            self.why = f"the workspace has more than {FILES_MOST} files"
            return False
        ignored = shutil.ignore_patterns(*LEFT_OUT)
        shutil.copytree(self._workspace, self._copy, symlinks=True, ignore=ignored)
        self._runner = WarmRunner()
        self._runner.start(self._spec, self._copy, self._ids, self._scratch / f"warm-{self._starts}")
        return True

    def _files(self) -> Iterator[tuple[str, Stamp]]:
        for folder, folders, names in os.walk(self._workspace):
            folders[:] = [f for f in folders if f not in LEFT_OUT]
            for name in names:
                path = os.path.join(folder, name)  # noqa: PTH118 - once per file and call
                stat = os.lstat(path)
                yield os.path.relpath(path, self._workspace), (stat.st_size, stat.st_mtime_ns)

    def _changed(self) -> dict[str, bytes] | None:
        """Files that differ from the copy; None when some were made or removed, or are no Python."""
        now = dict(self._files())
        if now.keys() != self._stamps.keys():
            return None
        found = {}
        for path in (p for p, stamp in now.items() if stamp != self._stamps[p]):
            data = (self._workspace / path).read_bytes()
            if data != (self._copy / path).read_bytes():
                found[path] = data
        return found if all(path.endswith(".py") for path in found) else None


def _record(ids: Sequence[str], verdict: WarmVerdict) -> SessionRecord:
    """As a session would have told it."""
    outcomes = {i: o for i, o in verdict.outcomes.items() if o is not Outcome.MISSING}
    results = {
        i: TestResult(i, outcome, verdict.seconds.get(i, 0.0), failure=verdict.failures.get(i))
        for i, outcome in outcomes.items()
    }
    red = any(outcome.red for outcome in outcomes.values())
    return SessionRecord(tuple(ids), results, int(red), int(red), duration=verdict.wall, cpu=verdict.cpu)
