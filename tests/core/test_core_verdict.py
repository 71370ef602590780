"""The verdict is a pure function of evidence, and fails closed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_agentflow.core.evidence import Evidence, LayerFacts
from pytest_agentflow.core.layers.reruns import excluded_rate, repeats_for
from pytest_agentflow.core.model import VerdictKind
from pytest_agentflow.core.verdict import LAYERS, judge

SESSION: dict[str, Any] = {
    "expected": ["t.py::test_a", "t.py::test_g"], "collected": ["t.py::test_a", "t.py::test_g", "t.py::test_s"],
    "outcomes": {"t.py::test_a": "passed", "t.py::test_g": "passed", "t.py::test_s": "failed"}, "failures": {}, "problem": None,
    "exit": 1, "finish": 1, "foreign": [], "collect_errors": [], "before": {"t.py::test_a": "failed", "t.py::test_g": "passed"},
}  # fmt: skip
GREEN: dict[str, dict[str, Any]] = {
    "scope": {"paths": ["a.py"], "refused": {}},
    "checkout": {"base": "b" * 40, "tree": "c" * 40, "conflict": "", "undeclared": []},
    "scan": {"new": {}, "peeks": [], "judging": []},
    "census": {"sessions": [SESSION]},
    "sentinels": {"changed": [], "outcomes": {"t.py::test_s": "failed"}},
    "targets": {"outcomes": {"t.py::test_a": "passed"}},
    "held-out": {"choose": {}, "judge": {"t.py::test_h": "passed"}},
    "guards": {"count": 1, "extent": "all", "red": [], "again": {}, "base": {}},
    "twins": {"problem": None, "targets": {"t.py::test_a": {"control": "passed", "unreached": [], "sites": [{"line": 3, "mode": "neg", "result": "failed there"}]}}},
    "bare call": {"targets": {"t.py::test_a": {"status": "done", "detail": "", "checks": [{"line": 3, "wrong": "", "opaque": False}], "missing": [], "compared": 1}}},
    "reruns": {"sessions": [{"hash_seed": 7, "clock_days": 0, "problem": None, "outcomes": {"t.py::test_a": "passed"}, "repeats": {}}], "clock_introduced": False, "confidence": 0.95},
    "strength": {"mutants": [{"path": "a.py", "line": 1, "words": "+", "killed": True}]},
    "further oracles": {"oracles": {}},
    "isolation": {"sandbox": "bwrap", "network": False, "touched": [], "foreign": [], "altered": []},
}  # fmt: skip


def evidence(**changed: Any) -> Evidence:
    facts = {**GREEN, **{k.replace("_", " ") if k == "bare_call" else k: v for k, v in changed.items()}}
    return Evidence(
        "r1-a1",
        "b" * 40,
        "c" * 40,
        ("a.py",),
        tuple(LayerFacts(n, f) for n, f in facts.items() if f is not None),
    )


def test_green_evidence_of_every_layer_is_plausible_also_after_json() -> None:
    assert judge(evidence()).kind is VerdictKind.PLAUSIBLE
    assert judge(Evidence.from_json(json.loads(json.dumps(evidence().to_json())))) == judge(evidence())


@pytest.mark.parametrize("layer", list(LAYERS))
def test_a_layer_that_did_not_speak_is_never_green(layer: str) -> None:
    layers = tuple(found for found in evidence().layers if found.layer != layer)
    assert judge(Evidence("r1-a1", "b", "c", ("a.py",), layers)).kind is VerdictKind.ERRORED


@pytest.mark.parametrize("layer", list(LAYERS))
def test_evidence_that_cannot_be_read_is_an_error_not_a_pass(layer: str) -> None:
    layers = tuple(
        LayerFacts(found.layer, {}) if found.layer == layer else found for found in evidence().layers
    )
    assert judge(Evidence("r1-a1", "b", "c", ("a.py",), layers)).kind is VerdictKind.ERRORED


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"scope": {"paths": ["t.py"], "refused": {"t.py": "why"}}}, "tampered"),
        ({"scope": {"paths": [], "refused": {}}}, "no_change"),
        ({"census": {"sessions": [{**SESSION, "collected": ["t.py::test_a"]}]}}, "tampered"),
        ({"census": {"sessions": [{**SESSION, "problem": "no finish event (exit code 0)"}]}}, "tampered"),
        ({"census": {"sessions": [{**SESSION, "finish": 0}]}}, "tampered"),
        ({"census": {"sessions": [{**SESSION, "problem": "timeout"}]}}, "timed_out"),
        ({"sentinels": {"changed": [], "outcomes": {"t.py::test_s": "passed"}}}, "tampered"),
        ({"targets": {"outcomes": {"t.py::test_a": "skipped"}}}, "unfixed"),
        ({"held-out": {"choose": {"t.py::test_h": "failed"}, "judge": {}}}, "overfit"),
        ({"guards": {"count": 1, "extent": "all", "red": ["g"], "again": {"g": ["failed"]}, "base": {"g": ["passed"]}}}, "regressed"),
        ({"guards": {"count": 1, "extent": "all", "red": ["g"], "again": {"g": ["passed"]}, "base": {"g": ["passed"]}}}, "flaky"),
        ({"guards": {"count": 1, "extent": "all", "red": ["g"], "again": {"g": ["failed"]}, "base": {"g": ["failed"]}}}, "plausible"),
        ({"held-out": {"choose": {}, "judge": {}}}, "weak"),
        ({"strength": {"mutants": [{"path": "a.py", "line": 1, "words": "+", "killed": False}]}}, "weak"),
        ({"isolation": {"sandbox": "bwrap", "network": False, "touched": ["t.py"], "foreign": [], "altered": []}}, "tampered"),
    ],
)  # fmt: skip
def test_each_layer_has_the_last_word_on_its_own_question(changed: dict[str, Any], kind: str) -> None:
    assert judge(evidence(**changed)).kind == kind


def test_a_held_out_refusal_names_no_test() -> None:
    assert (
        "test_h"
        not in judge(evidence(**{"held-out": {"choose": {}, "judge": {"t.py::test_h": "failed"}}})).reason
    )


def test_no_other_layer_names_a_held_out_test_either() -> None:
    told = {"t.py::test_h": {"control": "red", "unreached": [], "sites": []}}
    verdict = judge(evidence(twins={"problem": None, "targets": told}))
    assert verdict.kind is VerdictKind.TAMPERED
    assert "test_h" not in verdict.reason + "".join(f.reason for f in verdict.findings)


def test_the_number_of_repetitions_follows_from_the_confidence() -> None:
    assert repeats_for(0.95) == 29
    assert excluded_rate(29, 0.95) < 0.1 < excluded_rate(28, 0.95)
