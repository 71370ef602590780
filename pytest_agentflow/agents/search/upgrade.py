"""Can a failure after an upgrade be followed from one complaint to the next until the test passes?

One removed name is rarely alone: behind a repaired import waits the next one. A step takes the edits that the message
suggests, keeps those under which the complaint is gone, and goes on from the new message.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_agentflow.adapters.warm import FRESH, Job, Limits, WarmRunner
from pytest_agentflow.agents.base import Brief
from pytest_agentflow.agents.search.edits import Edit, Source, apply
from pytest_agentflow.agents.search.evidence import repairs
from pytest_agentflow.agents.search.installed import Probe
from pytest_agentflow.agents.search.suspicion import editable
from pytest_agentflow.core.hints import Hint, read
from pytest_agentflow.core.scope import ScopePolicy

STEPS = 8  # complaints one behind the other
TRIES = 60  # edits for one complaint
BRANCHES = 2  # ways on from one complaint
FILES, SIZE = 400, 400_000  # what is read of a project beyond the suspects
TARGETS = 12  # failing tests that are followed

Files = Mapping[str, bytes]
# Files, test -> 0 when it fails, else (a module that can be collected) the share of its tests that pass; a message.
Judge = Callable[[Files, str], tuple[float, str]]


def upgraded(
    runner: WarmRunner,
    brief: Brief,
    mode: str,
    base: Mapping[str, Source],
    probe: Probe,
    over: Callable[[], bool],
) -> tuple[tuple[Edit, ...], dict[str, object]]:
    """The edits under which the complaints of all targets were answered one after the other, and how that went."""

    def judge(files: Files, test: str) -> tuple[float, str]:
        limits = Limits(default=5.0, wall=30.0, stop=False)
        runner.submit(Job(files, (test,), limits, mode if "::" in test else FRESH))
        verdict = runner.next()[1]
        red = next((i for i, outcome in verdict.outcomes.items() if outcome.red), "")
        if not verdict.green([test]):
            return 0.0, verdict.messages.get(red if "::" in red else test, "")
        green = sum(not outcome.red for outcome in verdict.outcomes.values())
        return green / len(verdict.outcomes), verdict.messages.get(red, "")

    chase, now = Chase(base, probe, judge, over), dict(base)
    for test in brief.attempt.visible[:TARGETS]:
        failure = brief.failures.get(test)
        message = f"{failure.kind}: {failure.message}" if failure else ""
        if chase.tried:
            share, message = judge(_changed(base, now), test)
            if share == 1 or over():
                continue
        now = chase.run(test, message, now)
    notes: dict[str, object] = {"tried": chase.tried, "answered": [line[:200] for line in chase.said]}
    return as_edits(base, now), notes


@dataclass
class Chase:
    """The way from one failing test's message to files under which it passes."""

    base: Mapping[str, Source]
    probe: Probe
    judge: Judge
    over: Callable[[], bool]
    tried: int = 0
    said: list[str] = field(default_factory=list)  # the complaints that were answered
    _best: tuple[float, dict[str, Source]] = (0.0, {})  # a module that can be collected, with tests still red

    def run(self, test: str, message: str, now: dict[str, Source]) -> dict[str, Source]:
        """The changed files; as they were when a complaint stays unanswered."""
        self._best = 0.0, now
        return self._step(test, message, now, STEPS) or self._best[1]

    def _step(
        self, test: str, message: str, sources: dict[str, Source], left: int
    ) -> dict[str, Source] | None:
        hint = read(message)
        if hint is None or not left:
            return None
        onward: list[tuple[int, str, dict[str, Source]]] = []
        for n, edits in enumerate(repairs([hint], sources, self.probe)):
            if n >= TRIES or self.over():
                break
            files = _parsed(apply(sources, edits))
            if files is None:
                continue
            now = {**sources, **files}
            share, told = self.judge(_changed(self.base, now), test)
            self.tried += 1
            if share > self._best[0]:
                self._best = share, now
            if share == 1:
                self.said.append(message)
                return now
            rank = _progress(hint, read(told), _put(sources, edits))
            if told and rank is not None:
                onward.append((rank, told, now))
        for _, told, now in sorted(onward, key=lambda way: way[0])[:BRANCHES]:
            found = self._step(test, told, now, left - 1)
            if found is not None:
                self.said.append(message)
                return found
        return None


def _progress(before: Hint, after: Hint | None, put: set[str]) -> int | None:
    """None when the same is still missing, or what the edit itself put there."""
    if after is None:
        return 1
    if (after.kind, after.name) == (before.kind, before.name):
        return None
    return None if after.name in put and after.kind == before.kind else 0


def _put(sources: Mapping[str, Source], edits: Sequence[Edit]) -> set[str]:
    """Words that the edits bring in."""
    old = (sources[edit.path].text[edit.start : edit.end] for edit in edits)
    gone = {word for text in old for word in re.findall(r"\w+", text)}
    return {word for edit in edits for word in re.findall(r"\w+", edit.text)} - gone


def _parsed(files: Mapping[str, bytes]) -> dict[str, Source] | None:
    try:
        return {path: Source(path, data) for path, data in files.items()}
    except (SyntaxError, ValueError):
        return None


def _changed(base: Mapping[str, Source], now: Mapping[str, Source]) -> dict[str, bytes]:
    return {p: s.data for p, s in now.items() if s is not base.get(p)}


def as_edits(base: Mapping[str, Source], now: Mapping[str, Source]) -> tuple[Edit, ...]:
    """The difference as one edit per changed file."""
    edits = []
    for path, source in now.items():
        old = base[path].text
        if source.text != old:
            start = _alike(old, source.text)
            rest_old, rest_new = old[start:], source.text[start:]
            end = _alike(rest_old[::-1], rest_new[::-1])
            text = rest_new[: len(rest_new) - end]
            line = old.count("\n", 0, start) + 1
            edits.append(Edit(path, start, len(old) - end, text, "upgraded-api", line, 3.0))
    return tuple(edits)


def _alike(a: str, b: str) -> int:
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def in_scope(workspace: Path, policy: ScopePolicy, known: Mapping[str, Source]) -> dict[str, Source]:
    """Python files that may be edited, the suspects first; an upgrade breaks more places than the traceback shows."""
    found = dict(known)
    for folder, folders, names in os.walk(workspace):
        folders[:] = sorted(
            f for f in folders if not f.startswith((".", "__")) and f not in ("venv", "node_modules")
        )
        for name in sorted(names):
            relative = (Path(folder) / name).relative_to(workspace).as_posix()
            if len(found) < FILES and relative not in found and editable(policy, relative):
                path = Path(folder) / name
                source = Source.read(workspace, relative) if path.stat().st_size < SIZE else None
                if source is not None:
                    found[relative] = source
    return found


def deadline(seconds: float, cancelled: Callable[[], bool]) -> Callable[[], bool]:
    until = time.monotonic() + seconds
    return lambda: time.monotonic() > until or cancelled()
