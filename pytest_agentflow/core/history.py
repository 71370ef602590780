"""What do past runs say about each test: which ones flipped on one tree, how often, since when?"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_agentflow.core.flaky_stats import interval

MOSTLY_RED = 0.8  # a run in which more than this share fails teaches nothing about single tests


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run of (a part of) a suite. `verdicts` holds attempts in order: "p" passed, "f" failed, nothing for skips."""

    tree: str  # git tree id: the code, whatever commit carried it
    when: float
    source: str
    verdicts: Mapping[str, str]

    @property
    def infrastructure(self) -> bool:
        ran = [v for v in self.verdicts.values() if v]
        return len(ran) > 5 and sum(v[0] == "f" for v in ran) > MOSTLY_RED * len(ran)


@dataclass(frozen=True, slots=True)
class PastTest:
    """One test over all believable runs. A retry is an attempt of the same run, never a test of its own."""

    nodeid: str
    runs: int
    failures: int  # runs whose first attempt failed
    retried_green: int  # runs that failed first and passed on a later attempt
    flipped_trees: tuple[str, ...]  # trees with both verdicts
    flips: int  # changes of verdict between consecutive runs
    streak: int  # runs since the last failure
    low: float
    high: float
    last_failure: float = 0.0
    sources: tuple[str, ...] = field(default=())

    @property
    def flaky(self) -> bool:
        """Two verdicts on one tree, or a retry that flipped: changed code explains everything else."""
        return bool(self.flipped_trees or self.retried_green)

    @property
    def broken(self) -> bool:
        """Fails whenever it runs: no flaky test."""
        return not self.flaky and self.runs > 0 and self.streak == 0 and self.failures == self.runs

    @property
    def score(self) -> float:
        """For ranking: the rate that is believed at least, then how much evidence there is."""
        return self.low + 0.001 * min(self.flips, 100) + 0.01 * len(self.flipped_trees[:50])


def study(runs: Iterable[PastRun]) -> tuple[PastTest, ...]:
    """Every test's past, the worst flaky one first."""
    seen: dict[str, list[tuple[PastRun, str]]] = defaultdict(list)
    for run in sorted(runs, key=lambda r: r.when):
        if run.infrastructure:
            continue
        for nodeid, verdict in run.verdicts.items():
            if verdict:
                seen[nodeid].append((run, verdict))
    tests = [_past(nodeid, entries) for nodeid, entries in seen.items()]
    return tuple(sorted(tests, key=lambda t: (not t.flaky, -t.score, t.nodeid)))


def _past(nodeid: str, entries: Sequence[tuple[PastRun, str]]) -> PastTest:
    trees: dict[str, set[str]] = defaultdict(set)
    for run, verdict in entries:
        if run.tree:
            trees[run.tree] |= set(verdict)
    firsts = [verdict[0] for _, verdict in entries]
    failures = firsts.count("f")
    low, high = interval(failures, len(entries))
    streak = next((n for n, v in enumerate(reversed(firsts)) if v == "f"), len(firsts))
    return PastTest(
        nodeid=nodeid,
        runs=len(entries),
        failures=failures,
        retried_green=sum(v[0] == "f" and "p" in v for _, v in entries),
        flipped_trees=tuple(sorted(t for t, v in trees.items() if v == {"p", "f"})),
        flips=sum(a != b for a, b in itertools.pairwise(firsts)),
        streak=streak,
        low=low,
        high=high,
        last_failure=max((r.when for r, v in entries if v[0] == "f"), default=0.0),
        sources=tuple(sorted({r.source for r, v in entries if "f" in v}))[:5],
    )
