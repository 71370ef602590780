"""What is the verdict on a patch, given nothing but the evidence?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from pytest_agentflow.core.evidence import VERSION, Evidence, LayerFacts
from pytest_agentflow.core.layers import (
    bare,
    census,
    checkout,
    contradiction,
    disagreement,
    further,
    guards,
    heldout,
    isolation,
    reruns,
    scan,
    scope,
    sentinels,
    strength,
    targets,
    twins,
)
from pytest_agentflow.core.layers.base import Facts, Judged, error, na
from pytest_agentflow.core.model import Finding, FindingStatus, Verdict, VerdictKind

# The order in which layers speak: cheapest first; isolation last, for it watched every session. All of them must have spoken for a patch to be plausible.
LAYERS: Mapping[str, Callable[[Facts], Judged]] = {
    module.NAME: module.judge
    for module in (
        scope,
        scan,
        checkout,
        census,
        sentinels,
        targets,
        heldout,
        guards,
        twins,
        bare,
        further,
        reruns,
        strength,
        isolation,
    )
}
# Layers that only some patches are put before.
_ASKED: Mapping[str, Callable[[Facts], Judged]] = {m.NAME: m.judge for m in (contradiction, disagreement)}


def judge(evidence: Evidence) -> Verdict:
    """The verdict, in words that name no held-out test: they reach the next attempt."""
    verdict = _judge(evidence)
    held = evidence.facts("held-out")
    hidden = (
        sorted({i for part in held.facts.values() if isinstance(part, Mapping) for i in part}, key=len)
        if held
        else []
    )
    if not hidden:
        return verdict
    findings = tuple(replace(f, reason=_unnamed(f.reason, hidden)) for f in verdict.findings)
    return Verdict(verdict.kind, _unnamed(verdict.reason, hidden), findings)


def _unnamed(words: str, hidden: list[str]) -> str:
    for nodeid in reversed(hidden):
        words = words.replace(nodeid, "a held-out test")
    return words


def _judge(evidence: Evidence) -> Verdict:
    """The first layer that refuses decides; with none, the patch is plausible, or weak where a layer says so.

    Layers speak in the order in which they were measured; one that is missing without a refusal before it is an error.
    """
    if evidence.version != VERSION:
        return Verdict(VerdictKind.ERRORED, f"evidence of version {evidence.version} cannot be judged here")
    findings: list[Finding] = []
    for measured in evidence.layers:
        judged = speak(measured)
        findings.append(judged.finding)
        if judged.kind is not None:
            return _refused(evidence, measured.layer, judged, findings)
    silent = [name for name in LAYERS if evidence.facts(name) is None]
    if silent:  # absence of evidence is never green
        return Verdict(VerdictKind.ERRORED, f"{silent[0]}: not measured", tuple(findings))
    doubts = [f for f in findings if f.status is FindingStatus.WEAK]
    if doubts:
        return Verdict(VerdictKind.WEAK, f"{doubts[0].layer}: {doubts[0].reason}", tuple(findings))
    return Verdict(VerdictKind.PLAUSIBLE, "every layer that applies agrees", tuple(findings))


def _refused(evidence: Evidence, layer: str, judged: Judged, findings: list[Finding]) -> Verdict:
    """The refusal, unless the harness found out why no patch can satisfy the targets: then that is the answer."""
    asked = evidence.facts(contradiction.NAME)
    if asked is not None and judged.kind in contradiction.ASKED_AFTER:
        told = speak(asked)
        findings.append(told.finding)
        if told.kind is VerdictKind.CONTRADICTION:
            return Verdict(told.kind, told.finding.reason, tuple(findings))
    return Verdict(judged.kind or VerdictKind.ERRORED, f"{layer}: {judged.finding.reason}", tuple(findings))


def speak(measured: LayerFacts) -> Judged:
    """One layer's judgement; evidence that cannot be read is an error, never a pass and never a crash."""
    name = measured.layer
    if measured.error:
        return error(name, measured.error)
    if measured.skipped:
        return na(name, measured.skipped)
    try:
        return (LAYERS.get(name) or _ASKED[name])(measured.facts)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as problem:
        return error(name, f"evidence that cannot be read: {type(problem).__name__}: {problem}")
