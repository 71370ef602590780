"""The outputs against their schemas, and a few hundred bent reports through all of them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
from gate_fuzz import mutate, samples, unsettled
from gate_helpers import Bench, many

from pytest_agentflow.report import gate_json

HERE = Path(__file__).parent
A, B = "tests.test_a::test_0", "tests.test_a::test_1"


def mixed(bench: Bench) -> tuple[str, ...]:
    base = bench.baseline(many(20) | {A: "fail", "tests.test_a::test_2": "xfail"})
    bench.write(
        "r.xml",
        many(18)
        | {A: "fail", B: "other", "tests.test_a::test_3": ["fail", "pass"], "tests.test_a::test_4": "skip"},
    )
    return ("r.xml", *base, "--new-only")


def test_json_fits_its_schema(bench: Bench) -> None:
    jsonschema.validate(bench.run(*mixed(bench)).json, gate_json.schema())
    jsonschema.validate(bench.run("absent.xml").json, gate_json.schema())


def test_sarif_fits_the_schema_of_2_1_0(bench: Bench) -> None:
    bench.run(*mixed(bench), "--sarif", "s.json")
    schema = json.loads((HERE / "sarif-2.1.0-subset.json").read_text())
    document = json.loads(Path("s.json").read_text())
    jsonschema.validate(document, schema)
    assert {r["ruleId"] for r in document["runs"][0]["results"]} >= {
        "new-failure",
        "missing",
        "known-failure",
        "newly-skipped",
    }


def test_junit_holds_one_case_per_test(bench: Bench) -> None:
    bench.run(*mixed(bench), "--junit", "j.xml")
    cases = list(ElementTree.parse("j.xml").iter("testcase"))
    names = [(c.get("classname"), c.get("name")) for c in cases if c.get("classname") == "tests.test_a"]
    assert len(names) == len(set(names)) == 20


def test_the_job_summary_is_appended_and_never_exceeds_its_limit(bench: Bench, monkeypatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    Path("summary.md").write_text("x" * 900_000)
    bench.write("r.xml", many(20_000, "fail"))
    out = bench.run("r.xml").out
    assert 900_000 < Path("summary.md").stat().st_size < 1 << 20
    assert "::error title=" in out


def test_bent_reports_end_in_a_verdict_with_one_line_and_no_traceback(tmp_path: Path) -> None:
    rng = random.Random(7)
    pool = samples()
    assert len(pool) >= 9
    path = tmp_path / "bent.xml"
    for n in range(300):
        path.write_bytes(mutate(pool[n % len(pool)][1], rng, rng.choice(pool)[1]))
        code, trouble = unsettled(path)
        assert not trouble, (n, code, trouble)
