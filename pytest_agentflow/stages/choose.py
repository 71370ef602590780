"""Which of an attempt's candidate patches is kept? Judged cold, best first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_agentflow.adapters import history, snapshot
from pytest_agentflow.agents.base import AgentOutcome, AgentReport
from pytest_agentflow.core.evidence import Evidence
from pytest_agentflow.core.model import Attempt, Patch, Verdict, VerdictKind
from pytest_agentflow.core.verdict import judge
from pytest_agentflow.stages import flaky_targets
from pytest_agentflow.stages.bench import slot
from pytest_agentflow.stages.build import without_build
from pytest_agentflow.stages.lane import Lane
from pytest_agentflow.stages.oracle.asked import further_commands, further_oracles
from pytest_agentflow.stages.verify import VerifyContext, gather, held_against

MAX_JUDGED = 5  # candidates of one attempt that are judged cold


def offered_patches(lane: Lane, report: AgentReport, workspace: Path) -> list[Patch]:
    """The candidate patches: the agent's list as whole files, or the harness's own diff of the tree."""
    if report.candidates:
        made = (
            snapshot.with_files(lane.base, candidate.files) for candidate in report.candidates[:MAX_JUDGED]
        )
        return [p for tree in made if (p := snapshot.between(lane.base, tree))]
    if report.outcome is AgentOutcome.GAVE_UP:
        return []  # what it leaves behind is no offer
    patch = snapshot.diff(lane.base, workspace)
    return [patch] if patch else []


def judge_candidates(
    lane: Lane, attempt: Attempt, offered: Sequence[Patch], scratch: Path
) -> tuple[Patch, Evidence | None, int]:
    """Judge best first and keep the first plausible one; a weak one is kept while a plausible one may follow."""
    kept: tuple[Patch, Evidence, Verdict] | None = None
    judged = 0
    for n, patch in enumerate(offered):
        context = VerifyContext(
            spec=lane.spec,
            base=lane.base,
            baseline=lane.baseline.results,
            scope=lane.scope,
            pool=lane.pool,
            scratch=scratch / f"verify-{n}",
            commands=further_commands(lane.settings),
            oracles=further_oracles(lane.settings, lane.plugins),
            flaky=flaky_targets.load(lane.directory),
        )
        with slot(lane.link):
            evidence = gather(without_build(attempt), patch, context)
            history.append_evidence(lane.directory.parent.parent, evidence, f"verify of {attempt.id}")
            verdict = judge(evidence)
            if kept is not None and kept[2].kind is verdict.kind is VerdictKind.WEAK:
                both = held_against(kept[1], attempt, kept[0], patch, context)
                kept = (kept[0], both, judge(both))
        judged += 1
        if kept is None or _better(verdict, kept[2]):
            kept = (patch, evidence, verdict)
        if verdict.kind is VerdictKind.PLAUSIBLE:
            break
    if kept is None:
        return Patch("", ()), None, judged
    return kept[0], kept[1], judged


def _better(new: Verdict, old: Verdict) -> bool:
    """Of two weak patches the earlier one stays; what is ambiguous gives way to a plausible patch only."""
    if new.kind is VerdictKind.PLAUSIBLE or old.kind is VerdictKind.AMBIGUOUS:
        return new.kind is VerdictKind.PLAUSIBLE
    return new.kind.accepted and not old.kind.accepted
