"""What does an attempt without a judged patch amount to, and how is its result written down?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_agentflow.core.model import (
    Attempt,
    AttemptResult,
    Finding,
    FindingStatus,
    Patch,
    Spend,
    Verdict,
    VerdictKind,
)
from pytest_agentflow.core.review import Ruling, Standing


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """What a lane leaves in `result.json`. It holds no verdict: the controller judges from the evidence beside it."""

    attempt: str
    key: str
    agent: str
    outcome: str  # the agent's outcome in the harness's words
    message: str = ""
    evidence_text: str = ""  # what a giving-up agent says test and code disagree about
    patch: Patch = Patch("", ())
    judged: bool = False  # evidence.json is there
    candidates: int = 0
    spend: Spend = Spend()
    notes: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    ruling: Ruling | None = None  # what reviewers' counterexamples, run by the harness, amount to


def by_unit(
    attempts: Mapping[str, Attempt], results: Iterable[AttemptResult]
) -> dict[str, list[AttemptResult]]:
    """A round's results by cluster, follow-ups behind the first; `attempts` holds all of them by id."""
    found: dict[str, list[AttemptResult]] = {}
    for result in results:
        found.setdefault(attempts[result.id].cluster, []).append(result)
    return found


_OUTCOMES = {
    "no_change": VerdictKind.NO_CHANGE,
    "changed": VerdictKind.NO_CHANGE,  # it says so, and the tree does not differ
    "gave_up": VerdictKind.CONTRADICTION,
    "timed_out": VerdictKind.TIMED_OUT,
    "over_budget": VerdictKind.OVER_BUDGET,
    "refused": VerdictKind.NO_PATCH,
    "cancelled": VerdictKind.NO_PATCH,
    "error": VerdictKind.AGENT_ERROR,
}


def without_patch(record: AttemptRecord) -> Verdict:
    """The verdict on an attempt that offered nothing to judge. An agent's claim without a diff is `no_change`."""
    kind = _OUTCOMES.get(record.outcome, VerdictKind.ERRORED)
    reason = {
        VerdictKind.NO_CHANGE: record.message or "the workspace does not differ from its base",
        VerdictKind.CONTRADICTION: record.evidence_text or record.message,
    }.get(kind, record.message or record.outcome)
    if kind is VerdictKind.CONTRADICTION and not reason.strip():
        return Verdict(VerdictKind.NO_PATCH, "the agent gave up without saying which test and code disagree")
    return Verdict(kind, first_line(reason))


def with_ruling(verdict: Verdict, ruling: Ruling | None) -> Verdict:
    """The oracle's verdict after review. Only a counterexample that ran and failed can turn an accepted patch down."""
    if ruling is None or not verdict.kind.accepted:
        return verdict
    if ruling.standing is Standing.UPHELD:
        finding = Finding(
            "reviewers", FindingStatus.OK, ruling.reason, {"advice": [o.text for o in ruling.advice]}
        )
        return Verdict(verdict.kind, verdict.reason, (*verdict.findings, finding))
    kind = VerdictKind.REFUTED if ruling.standing is Standing.SENT_BACK else VerdictKind.UNRESOLVED
    finding = Finding("reviewers", FindingStatus.FAILED, ruling.reason)
    return Verdict(kind, f"reviewers: {ruling.reason}", (*verdict.findings, finding))


def first_line(text: str, limit: int = 300) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= limit else line[: limit - 1] + "…"


def lines_changed(patch: Patch) -> int:
    """Added plus removed lines of a patch, file headers not counted."""
    return sum(
        1 for line in patch.text.splitlines() if line[:1] in "+-" and not line.startswith(("+++ ", "--- "))
    )
