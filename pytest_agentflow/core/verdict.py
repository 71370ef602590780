"""What is the verdict on a patch, given nothing but the evidence?"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_agentflow.core.evidence import VERSION, Evidence, LayerFacts
from pytest_agentflow.core.layers import census, checkout, guards, heldout, isolation, scope, targets
from pytest_agentflow.core.layers.base import Facts, Judged, error, na
from pytest_agentflow.core.model import Finding, FindingStatus, Verdict, VerdictKind

# The order in which layers speak: cheapest first; isolation last, for it watched every session. All of them must have spoken for a patch to be plausible.
LAYERS: Mapping[str, Callable[[Facts], Judged]] = {
    module.NAME: module.judge for module in (scope, checkout, census, targets, heldout, guards, isolation)
}


def judge(evidence: Evidence) -> Verdict:
    """The first layer that refuses decides; with none, the patch is plausible, or weak where a layer says so."""
    if evidence.version != VERSION:
        return Verdict(VerdictKind.ERRORED, f"evidence of version {evidence.version} cannot be judged here")
    findings: list[Finding] = []
    for name, layer in LAYERS.items():
        judged = _speak(name, layer, evidence.facts(name))
        findings.append(judged.finding)
        if judged.kind is not None:
            return Verdict(judged.kind, f"{name}: {judged.finding.reason}", tuple(findings))
    doubts = [f for f in findings if f.status is FindingStatus.WEAK]
    if doubts:
        return Verdict(VerdictKind.WEAK, f"{doubts[0].layer}: {doubts[0].reason}", tuple(findings))
    return Verdict(VerdictKind.PLAUSIBLE, "every layer that applies agrees", tuple(findings))


def _speak(name: str, layer: Callable[[Facts], Judged], measured: LayerFacts | None) -> Judged:
    if measured is None:
        return error(name, "not measured")
    if measured.error:
        return error(name, measured.error)
    if measured.skipped:
        return na(name, measured.skipped)
    try:
        return layer(measured.facts)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as problem:
        return error(name, f"evidence that cannot be read: {type(problem).__name__}: {problem}")
