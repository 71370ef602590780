"""What do past runs say about each test: which ones flipped on one tree, how often, since when?"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_agentflow.core.evidence import Evidence
from pytest_agentflow.core.flaky_stats import interval
from pytest_agentflow.core.model import Outcome

MOSTLY_RED = 0.8  # a run in which more than this share fails teaches nothing about single tests


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run of (a part of) a suite. `verdicts` holds attempts in order: "p" passed, "f" failed, nothing for skips."""

    tree: str  # git tree id: the code, whatever commit carried it; empty where a report names no commit
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
    unnamed: int = 0  # runs of which nobody knows the tree
    both_verdicts: bool = False  # on whatever trees

    @property
    def unexplained(self) -> bool:
        """Two verdicts, and for want of a named commit nobody can say whether the code changed between them."""
        return self.both_verdicts and self.unnamed > 0 and not self.flaky

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


def executions(evidence: Evidence) -> dict[str, dict[str, str]]:
    """What judging a patch saw of each test on its two trees, as letters: identical code, so two letters are a flip."""
    seen: dict[str, dict[str, str]] = defaultdict(dict)
    patched = evidence.tree or evidence.base
    told = [*((patched, *s) for s in _sessions(evidence)), *_guards(evidence, patched)]
    for tree, nodeid, letters in told:
        seen[tree][nodeid] = seen[tree].get(nodeid, "") + letters
    return dict(seen)


def _sessions(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """(test, letters) of whole sessions on the patched tree; one that moved the clock says nothing here."""
    for layer in ("census", "reruns"):
        facts = evidence.facts(layer)
        for session in facts.facts.get("sessions", ()) if facts else ():
            if session["problem"] or session.get("clock_days"):
                continue
            only = set(session.get("expected", session["outcomes"]))  # sentinels fail on purpose
            yield from ((t, letter(Outcome(o))) for t, o in session["outcomes"].items() if t in only)
            for nodeid, repeats in session.get("repeats", {}).items():
                yield nodeid, "p" * repeats["passed"] + "f" * repeats["red"]


def _guards(evidence: Evidence, patched: str) -> Iterator[tuple[str, str, str]]:
    """(tree, test, letters) of guards that were red and ran again, on either tree."""
    facts = evidence.facts("guards")
    for name, tree in (("again", patched), ("base", evidence.base)):
        for nodeid, outcomes in (facts.facts.get(name, {}) if facts else {}).items():
            yield tree, nodeid, "".join(letter(Outcome(o)) for o in outcomes)


_SILENT = (Outcome.SKIPPED, Outcome.XFAILED, Outcome.MISSING)


def letter(outcome: Outcome) -> str:
    """ "p", "f", or nothing where a test did not speak."""
    return "" if outcome in _SILENT else "f" if outcome.red else "p"


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
        unnamed=sum(not run.tree for run, _ in entries),
        both_verdicts={"p", "f"} <= {letter for _, verdict in entries for letter in verdict},
    )
