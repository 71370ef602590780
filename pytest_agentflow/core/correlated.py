"""Did several attempts end in the same wrong patch? Then they count as one, and the next attempt hears of it.

The same model agreeing with itself is weak evidence: agreement never replaces a layer of the oracle.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_agentflow.core.model import AttemptResult


@dataclass(frozen=True, slots=True)
class Tried:
    """One refused attempt. `behaviour`: what the judged tests did, by node id; empty when not measured."""

    id: str
    cluster: str
    agent: str
    patch: str
    reason: str
    behaviour: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SameWrong:
    """Attempts of one unit that are one and the same wrong answer."""

    cluster: str
    ids: tuple[str, ...]
    how: str  # "same diff" or "same behaviour"
    reason: str

    @property
    def label(self) -> str:
        """Its short name."""
        return f"same_wrong_patch x{len(self.ids)}"

    @property
    def words(self) -> str:
        """As the transcript says it."""
        return f"{self.label} ({self.how}): {', '.join(self.ids)} count as one"

    @property
    def warning(self) -> str:
        """As the next attempt is told."""
        return (
            f"{self.label}: attempts {', '.join(self.ids)} ended in one and the same wrong patch ({self.how}); it was "
            f"refused: {self.reason}. Do not write it again: question the reading of the code that led to it."
        )


def turned_down(results: Iterable[AttemptResult], cluster: str) -> list[Tried]:
    """The results of one unit that were turned down, as this module compares them."""
    return [
        Tried(r.id, cluster, r.agent, r.patch.text, r.verdict.reason, r.behaviour)
        for r in results
        if not r.verdict.kind.accepted
    ]


def same_wrong(tried: Iterable[Tried]) -> tuple[SameWrong, ...]:
    """The groups of two or more, per unit; an attempt without a patch belongs to none."""
    groups: list[list[Tried]] = []
    for attempt in tried:
        if not attempt.patch:
            continue
        home = next((g for g in groups if any(_alike(attempt, other) for other in g)), None)
        if home is None:
            groups.append([attempt])
        else:
            home.append(attempt)
    return tuple(_named(group) for group in groups if len(group) > 1)


def independent(tried: Sequence[Tried]) -> int:
    """How many different answers a list of attempts holds: equal ones count once."""
    repeated = sum(len(group.ids) - 1 for group in same_wrong(tried))
    return len(tried) - repeated


def _alike(one: Tried, other: Tried) -> bool:
    return one.cluster == other.cluster and (
        normalised(one.patch) == normalised(other.patch) or _same_behaviour(one, other)
    )


def _same_behaviour(one: Tried, other: Tried) -> bool:
    """Equal outcomes say something only when they are of the same tests and not all of one kind."""
    return (
        bool(one.behaviour)
        and one.behaviour == other.behaviour
        and len(set(one.behaviour.values())) > 1
        and _paths(one.patch) == _paths(other.patch)
    )


def _named(group: list[Tried]) -> SameWrong:
    first = group[0]
    diffs = {normalised(attempt.patch) for attempt in group}
    how = "same diff" if len(diffs) == 1 else "same behaviour"
    return SameWrong(first.cluster, tuple(a.id for a in group), how, first.reason)


def normalised(patch: str) -> str:
    """A diff without what does not change its meaning: hunk positions, hashes, blank lines, comments, spacing."""
    kept: list[str] = []
    for line in patch.splitlines():
        if line.startswith(("--- ", "+++ ")):
            kept.append(line.split("\t")[0])
        elif line[:1] in "+-" and line:
            body = re.sub(r"\s+", " ", re.sub(r"(^|\s)#.*$", "", line[1:])).strip()
            if body:
                kept.append(line[0] + re.sub(r"\s*([-+*/%=<>!,:()\[\]{}])\s*", r"\1", body))
    return "\n".join(kept)


def _paths(patch: str) -> frozenset[str]:
    return frozenset(line[4:].split("\t")[0] for line in patch.splitlines() if line.startswith("+++ "))
