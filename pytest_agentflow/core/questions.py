"""Is it worth launching? The three questions that are asked first, and what the answer may cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_agentflow.core.model import Cluster


@dataclass(frozen=True, slots=True)
class Bill:
    """The worst case of a plan: everything together within the caps, what is paid once, and what each attempt costs.

    `usd` is None when some price is not known and no cap in dollars holds.
    """

    attempts: int = 0
    tokens: int = 0
    usd: float | None = 0.0
    fixed: str = ""
    each: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Questions:
    """The three questions asked before any launch, in numbers, with a verdict in words."""

    covered_lines: int
    target_lines: int
    flaky: int
    failing: int
    suite_seconds: float
    clusters: int
    overlapping: int
    attempts: int
    worst_tokens: int
    worst_usd: float | None  # None: some price is not known
    fixed: str  # what is paid once, in words
    each: tuple[str, ...]  # what each attempt may cost, in words
    verdict: str


def questions(
    clusters: Sequence[Cluster],
    failing: int,
    flaky: int,
    suite_seconds: float,
    coverage: tuple[int, int],
    bill: Bill,
    searches: bool = True,
) -> Questions:
    """Answer: verifiable? decomposable? mechanical? `coverage` is (covered, all) lines of the suspects' files."""
    paths = [{s.unit.path for s in c.suspects[:3]} for c in clusters]
    overlapping = sum(1 for i, a in enumerate(paths) for b in paths[i + 1 :] if a & b)
    share = coverage[0] / coverage[1] if coverage[1] else 0.0
    words = [
        f"verifiable: tests reach {share:.0%} of the suspect units' lines, {flaky} of {failing} failures are flaky, "
        f"one run of the suite takes {suite_seconds:.1f} s",
        f"decomposable: {len(clusters)} cluster{'' if len(clusters) == 1 else 's'}, "
        + (
            f"{overlapping} pair{' shares' if overlapping == 1 else 's share'} a suspect file"
            if overlapping
            else "no two share a suspect file"
        ),
        _mechanical(clusters, searches),
    ]
    return Questions(
        covered_lines=coverage[0],
        target_lines=coverage[1],
        flaky=flaky,
        failing=failing,
        suite_seconds=round(suite_seconds, 3),
        clusters=len(clusters),
        overlapping=overlapping,
        attempts=bill.attempts,
        worst_tokens=bill.tokens,
        worst_usd=bill.usd,
        fixed=bill.fixed,
        each=bill.each,
        verdict="; ".join(words),
    )


def _mechanical(clusters: Sequence[Cluster], searches: bool) -> str:
    if not clusters:
        return "nothing to do"
    asked = [c for c in clusters if c.asked]
    reached = sum(c.one_statement for c in asked)
    found = "not measured"
    if asked:
        found = f"in {reached} of {len(asked)} clusters small edits of one statement turned every test that was asked green"
    free = "the search tries first and costs nothing" if searches else "the search is left out"
    return f"mechanical: {found}, and {free}"
