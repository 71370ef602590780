"""A misread unit is reported before money is spent, by a real call that does not give the outcomes away."""

from __future__ import annotations

import json
from pathlib import Path

from pytest_agentflow.core.model import Cluster, Observation, Outcome, SourceUnit, Suspect, TestResult
from pytest_agentflow.stages.probe import probe
from pytest_agentflow.testing import LocalBench, MessagesServer, Request, replies, text

TARGETS, GUARDS = (
    ["test_calc.py::test_a", "test_calc.py::test_b"],
    ["test_calc.py::test_c", "test_calc.py::test_d"],
)
OUTCOMES = {**dict.fromkeys(TARGETS, Outcome.FAILED), **dict.fromkeys(GUARDS, Outcome.PASSED)}


def ask(tree: Path, script: object) -> tuple[object, LocalBench, MessagesServer]:
    (tree / "calc.py").write_text("x = 1\n\n\ndef add(a, b):\n    return a - b\n")
    (tree / "test_calc.py").write_text("def test_a(): ...\n")
    results = {n: TestResult(n, outcome) for n, outcome in OUTCOMES.items()}
    observation = Observation("t", tuple(OUTCOMES), tuple(OUTCOMES), results)
    cluster = Cluster("c1", tuple(TARGETS), (Suspect(SourceUnit("calc.py", "add", 4, 5), 1.0),))
    bench = LocalBench(tree, secrets={"ANTHROPIC_API_KEY": "sk-ant-canary-0123456789"})
    with MessagesServer(script) as server:  # type: ignore[arg-type]
        (got,) = probe([cluster], observation, {"c1": GUARDS}, tree, bench, {"base_url": server.url})
    return got, bench, server


def answer(request: Request, wrong: int) -> object:
    asked = [n for n in OUTCOMES if f"- {n}" in request.messages[0]["content"]]
    rows = []
    for number, nodeid in enumerate(asked):
        passes = (OUTCOMES[nodeid] is Outcome.PASSED) is not (number < wrong)
        rows.append({"test": nodeid, "outcome": "pass" if passes else "fail", "value": "?"})
    return text(json.dumps(rows))


def test_a_unit_that_is_read_wrongly_is_reported_and_a_good_reading_is_not(tmp_path: Path) -> None:
    bad, bench, server = ask(tmp_path, lambda request: answer(request, 3))
    assert bad.misread  # type: ignore[attr-defined]
    assert "misreads this unit" in bench.recorded("probe")[0]["line"]
    asked = server.turns[0].messages[0]["content"]
    assert "return a - b" in asked
    assert "x = 1" not in asked  # only the unit's lines
    assert "failed" not in asked
    assert server.turns[0].body["max_tokens"] == 2_000
    good, _, _ = ask(tmp_path, lambda request: answer(request, 0))
    assert (good.right, good.misread) == (4, False)  # type: ignore[attr-defined]


def test_a_call_that_fails_is_no_misreading_and_is_said(tmp_path: Path) -> None:
    got, bench, _ = ask(tmp_path, [replies.error(401)])
    assert not got.misread  # type: ignore[attr-defined]
    assert len(got.unanswered) == 4  # type: ignore[attr-defined]
    assert "not accepted" in bench.recorded("probe_failed")[0]["reason"]
