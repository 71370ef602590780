"""What would a run do, and what could it cost at most?"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_agentflow.report.model import Round, RunReport, Unit
from pytest_agentflow.report.text import count, one_line, seconds, visible

TARGETS_SHOWN = 5
SUSPECTS_SHOWN = 5


def is_plan(report: RunReport) -> bool:
    """True for a run that was asked to plan and nothing else."""
    return report.stop_reason == "plan only"


def plan_lines(report: RunReport, verbose: bool = False) -> Iterator[str]:
    """Units with their targets, suspects and attempts, then the questions asked before any launch."""
    for r in report.rounds:
        for unit in r.units:
            yield from _unit(unit, r, report, verbose)
        yield from _questions(r)


def _unit(unit: Unit, r: Round, report: RunReport, verbose: bool) -> Iterator[str]:
    yield f"unit {visible(unit.id)}: {count(len(unit.targets), 'target')}"
    shown = unit.targets if verbose else unit.targets[:TARGETS_SHOWN]
    yield from (f"  target   {visible(nodeid)}" for nodeid in shown)
    if len(unit.targets) > len(shown):
        yield f"  target   ... {len(unit.targets) - len(shown)} more with -v"
    for s in unit.suspects if verbose else unit.suspects[:SUSPECTS_SHOWN]:
        why = f" - {s.why}" if s.why else ""
        yield f"  suspect  {s.score:.3f}  {one_line(f'{s.path}:{s.first_line} {s.qualname}{why}', 0 if verbose else 160)}"
    for a in report.attempts:
        if a.round == r.number and a.cluster == unit.id:
            hidden = len(unit.targets) - len(a.visible)
            kept = f", {hidden} held out" if hidden > 0 else ""
            yield f"  attempt  {a.id} {one_line(a.agent)}: shown {count(len(a.visible), 'target')}{kept}"


def _questions(r: Round) -> Iterator[str]:
    asked = r.questions
    for answer in str(asked.get("verdict") or "").split("; "):
        if answer:
            yield one_line(answer)
    if not asked:
        return
    measured = seconds(float(asked.get("suite_seconds") or 0.0))
    yield f"fixed cost: {one_line(asked.get('fixed') or 'no money')}; {measured} for each run of the suite"
    yield from (f"each attempt: {one_line(words)}" for words in asked.get("each") or ())
    usd = asked.get("worst_usd")
    dollars = "dollars unknown: some price is not stated" if usd is None else f"${float(usd):,.2f}"
    tokens = int(asked.get("worst_tokens") or 0)
    attempts = count(int(asked.get("attempts") or 0), "attempt")
    yield f"all together, every round at its worst and within the caps: at most {attempts}, {tokens:,} tokens, {dollars}"
