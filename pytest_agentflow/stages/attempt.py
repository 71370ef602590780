"""How does a lane make one attempt: workspace, agent, the harness's own tree diff, evidence?

A lane gathers evidence and writes it into the attempt's directory; it judges only to choose among candidates. What
counts is the controller's verdict on the same evidence.
"""

from __future__ import annotations

import json
import shutil
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_agentflow.adapters import patches, units
from pytest_agentflow.adapters.files import write_json
from pytest_agentflow.agents import preflight, prompt, registry
from pytest_agentflow.agents.base import Agent, AgentOutcome, AgentReport, Brief
from pytest_agentflow.core import codec
from pytest_agentflow.core.ahead import ahead, missing
from pytest_agentflow.core.attempts import AttemptRecord, first_line
from pytest_agentflow.core.evidence import Evidence
from pytest_agentflow.core.model import Attempt, Patch, Spend, VerdictKind
from pytest_agentflow.core.review import Objection, Ruling, Standing, rule
from pytest_agentflow.core.verdict import judge
from pytest_agentflow.stages.bench import LaneBench
from pytest_agentflow.stages.brief import agent_config, brief_of
from pytest_agentflow.stages.choose import judge_candidates, offered_patches
from pytest_agentflow.stages.lane import Lane
from pytest_agentflow.stages.review import ReviewContext, review, reviewers_of

# Where an agent ended without a patch, the harness still asks whether passing tests forbid what the targets demand;
# not where it never came to look.
CUT_SHORT = (AgentOutcome.ERROR, AgentOutcome.CANCELLED, AgentOutcome.OVER_BUDGET)
NOTHING = Patch("", ())
NO_OTHER_HELPS = (VerdictKind.CONTRADICTION, VerdictKind.ERRORED)
LEAST_LEFT = 10.0  # seconds that a search must have left to look on when all that it offered was refused


def make_attempt(lane: Lane, attempt: Attempt) -> None:
    """One attempt from claim to `result.json`. Whatever goes wrong inside is this attempt's result, not the lane's end.

    An orphaned lane writes none: its files are being removed under the attempt, which a resumed run makes again.
    """
    directory = lane.directory / "attempts" / attempt.id
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "attempt.json", codec.encode(attempt))
    began = time.monotonic()
    try:
        record, evidence = _attempt(lane, attempt, directory)
    except Exception as error:  # noqa: BLE001 - reported as the attempt's result, with the traceback in its log
        (directory / "error.log").write_text(traceback.format_exc(), encoding="utf-8")
        message = f"{type(error).__name__}: {error}"
        record = AttemptRecord(attempt.id, attempt.key, attempt.agent, "harness_error", message)
        evidence = None
    if lane.closing.is_set():
        return
    patches.save(record.patch, directory / "patch.diff")
    if evidence is not None:
        write_json(directory / "evidence.json", codec.encode(evidence))
    elapsed = Spend(seconds=time.monotonic() - began - record.spend.seconds)
    write_json(
        directory / "result.json", {**codec.encode(record), "spend": codec.encode(record.spend + elapsed)}
    )
    lane.link.ask("done", attempt=attempt.id)


@dataclass(frozen=True, slots=True)
class _Tried:
    """What an agent was told and offered, and which offer was kept after judging."""

    brief: Brief
    report: AgentReport
    chosen: Patch
    evidence: Evidence | None
    judged: int

    @property
    def kind(self) -> VerdictKind | None:
        return judge(self.evidence).kind if self.evidence is not None else None

    @property
    def accepted(self) -> bool:
        return self.kind is not None and self.kind.accepted


def _attempt(lane: Lane, attempt: Attempt, directory: Path) -> tuple[AttemptRecord, Evidence | None]:
    config = agent_config(lane.settings, attempt.agent, lane.plugins)
    agent = registry.resolve(attempt.agent, config)
    scratch = lane.scratch / attempt.id
    scratch.mkdir(exist_ok=True)
    began = time.monotonic()
    try:
        tried = _tried(lane, attempt, directory, scratch, agent, config)
        left = tried.brief.deadline - (time.monotonic() - began)
        refused = tried.report.candidates and not tried.accepted and tried.kind not in NO_OTHER_HELPS
        if attempt.agent == "search" and refused and left > LEAST_LEFT:
            tried = _looked_on(
                tried, _tried(lane, attempt, directory, scratch, agent, config, tried.report, left)
            )
        ruling = None
        if tried.accepted:
            words = tried.report.message
            ruling = _review(lane, tried.brief, tried.chosen, agent.paid, config, words)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    report = tried.report
    record = AttemptRecord(
        attempt=attempt.id,
        key=attempt.key,
        agent=attempt.agent,
        outcome=str(report.outcome),
        message=report.message,
        evidence_text=report.evidence,
        patch=tried.chosen,
        judged=tried.evidence is not None,
        candidates=tried.judged,
        spend=report.spend,
        notes=report.notes,
        fingerprint=agent.fingerprint(config),
        ruling=ruling,
    )
    return record, tried.evidence


def _tried(
    lane: Lane,
    attempt: Attempt,
    directory: Path,
    scratch: Path,
    agent: Agent,
    config: dict[str, Any],
    refused: AgentReport | None = None,
    seconds: float | None = None,
) -> _Tried:
    """The agent works, its offers are judged. `refused`: offers that were judged in vain, and are not to come again."""
    with lane.pool.lease(lane.base, attempt.id) as workspace:
        bench = LaneBench(
            lane.link, attempt.id, workspace, scratch, lane.spec, (*attempt.visible, *attempt.guards)
        )
        brief = brief_of(lane, attempt, workspace, directory, scratch, config)
        if refused is not None:
            known = {**brief.config, "refused": [dict(c.files) for c in refused.candidates]}
            brief = replace(brief, config=known, deadline=seconds or brief.deadline)
        if left_out := prompt.notes_cut(brief.notes):
            bench.record("context_cut", {"notes": left_out})
        report = agent.attempt(brief, bench)
        offered = offered_patches(lane, report, workspace)
        if attempt.agent == "search" and not offered and report.outcome not in CUT_SHORT:
            report = replace(report, message=_explained(brief, report.message))
    if not offered and report.outcome not in CUT_SHORT:
        offered = [NOTHING]
    chosen, evidence, judged = judge_candidates(lane, attempt, offered, scratch)
    if chosen == NOTHING and evidence is not None and judge(evidence).kind is not VerdictKind.CONTRADICTION:
        evidence, judged = None, 0
    return _Tried(brief, report, chosen, evidence, judged)


def _looked_on(first: _Tried, second: _Tried) -> _Tried:
    """The second result where it was accepted, else the first; what both took is spent."""
    kept = second if second.accepted else first
    spend, judged = first.report.spend + second.report.spend, first.judged + second.judged
    return replace(kept, report=replace(kept.report, spend=spend), judged=judged)


def _explained(brief: Brief, message: str) -> str:
    """A search says how many edits failed; where no edit could help, because tests are ahead of the code, that comes first."""
    failures = [brief.failures[t] for t in brief.attempt.visible if t in brief.failures]
    if len(failures) < len(brief.attempt.visible) or not missing(failures):
        return message
    words = ahead(failures, units.texts(brief.workspace))
    return f"{words}; {message}" if words else message


def _review(
    lane: Lane, brief: Brief, patch: Patch, paid: bool, config: Mapping[str, Any], words: str
) -> Ruling | None:
    """Let adversarial reviewers try to refute an accepted patch, beside the other lanes' attempts; `words` are the author's."""
    count = lane.settings.agent_reviewers
    count = (preflight.REVIEWERS if paid else 0) if count is None else count
    if not count:
        return None
    earlier, sent_back = _earlier_objections(lane, brief.attempt)
    section = lane.settings.sections.get("agents", {}).get("reviewer", {})
    context = ReviewContext(
        spec=lane.spec,
        base=lane.base,
        pool=lane.pool,
        scratch=lane.scratch / f"{brief.attempt.id}-review",
        directory=brief.directory,
        bench=lambda workspace, name: LaneBench(
            lane.link,
            brief.attempt.id,
            workspace,
            lane.scratch / f"{brief.attempt.id}-{name}",
            lane.spec,
            (*brief.attempt.visible, *brief.attempt.guards),
        ),
        reviewers=reviewers_of(count, config, section),
    )
    ran = review(brief, patch, earlier, context)
    return rule(ran, times_sent_back=sent_back, author_side=first_line(words))


def _earlier_objections(lane: Lane, attempt: Attempt) -> tuple[tuple[Objection, ...], int]:
    """Counterexamples that refuted earlier patches of this unit: the next patch must stand against them first."""
    found: list[Objection] = []
    times = 0
    for told in attempt.history:
        path = lane.directory / "attempts" / told.partition(" ")[0] / "result.json"
        if path.is_file():
            ruling = codec.decode(AttemptRecord, json.loads(path.read_text(encoding="utf-8"))).ruling
            if ruling is not None and ruling.standing is Standing.SENT_BACK:
                times += 1
                found += [ran.objection for ran in ruling.counterexamples]
    return tuple(found), times
