"""The outputs against their schemas, and a few hundred bent reports through all of them."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from gate_fuzz import bereft, greens, mutate, samples, unsettled
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


def misfits(document: object, schema: dict) -> list[str]:
    return [
        error.message for error in jsonschema.validators.validator_for(schema)(schema).iter_errors(document)
    ]


def test_json_fits_its_schema(bench: Bench) -> None:
    schema = gate_json.schema()
    assert misfits(bench.run(*mixed(bench)).json, schema) == []
    assert misfits(bench.run("absent.xml").json, schema) == []
    assert misfits({"version": 1}, schema) != []


def test_a_comment_stays_within_its_limit_whatever_the_reports_are_called(bench: Bench) -> None:
    names = [f"{'|' * 180}{n}.xml" for n in range(300)]
    bench.run(*names, "--comment", "c.md", "--markdown", "m.md")
    assert 20_000 < Path("c.md").stat().st_size < 65_536
    assert len(Path("c.md").read_text()) < 65_536
    bench.gate(many(9000, "fail"), "--comment", "c.md")
    assert 60_000 < Path("c.md").stat().st_size < 65_536


def test_a_full_job_summary_is_left_as_it_is(bench: Bench, monkeypatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    Path("summary.md").write_text("x" * ((1 << 20) - 2000))
    bench.gate(many(3, "fail"), "--github")
    assert Path("summary.md").stat().st_size == (1 << 20) - 2000


@pytest.fixture(scope="session")
def sarif_schema(request) -> dict:
    """The schema that SchemaStore publishes, out of a package of the npm registry that carries it."""
    npm = shutil.which("npm")
    folder = Path(request.config.cache.mkdir("gate-sarif"))
    found = folder / "package" / "lib" / "schemas" / "sarif-2.1.0-rtm.5.json"
    if not found.is_file():
        if npm is None:
            pytest.skip("npm is not on this machine")
        command = [npm, "pack", "--silent", "@microsoft/jest-sarif@1.0.0-beta.0"]
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        archive = next(folder.glob("*.tgz"), None)
        if done.returncode or archive is None:
            pytest.skip(f"the npm registry is not reachable: {done.stderr[-100:]}")
        with tarfile.open(archive) as packed:
            schema = packed.extractfile("package/lib/schemas/sarif-2.1.0-rtm.5.json")
            assert schema is not None
            found.parent.mkdir(parents=True)
            found.write_bytes(schema.read())
    return json.loads(found.read_text())


def test_sarif_fits_the_published_schema_of_2_1_0(bench: Bench, sarif_schema: dict) -> None:
    bench.run(*mixed(bench), "--sarif", "s.json")
    assert misfits(json.loads(Path("s.json").read_text()), sarif_schema) == []
    odd = {'m::<b>|`"\\ \u200b': "fail", "m::" + "x" * 5000: "error"}
    bench.gate(odd, "--expected-cell", "3.12", "--sarif", "s.json")
    assert misfits(json.loads(Path("s.json").read_text()), sarif_schema) == []


def test_sarif_fits_what_code_scanning_needs_of_it(bench: Bench) -> None:
    bench.run(*mixed(bench), "--sarif", "s.json")
    schema = json.loads((HERE / "sarif-2.1.0-subset.json").read_text())
    document = json.loads(Path("s.json").read_text())
    assert misfits(document, schema) == []
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


def test_reports_that_lost_evidence_are_never_green(tmp_path: Path) -> None:
    rng = random.Random(8)
    path = tmp_path / "bereft.xml"
    pool = [*samples(), *greens()]
    for n in range(120):
        how, data = bereft(pool[n % len(pool)][1], rng)
        path.write_bytes(data)
        assert unsettled(path)[0] in (1, 2), (n, how)
    for name, data in greens():
        path.write_bytes(data)
        assert unsettled(path) == (0, ""), name


def test_bent_reports_end_in_a_verdict_with_one_line_and_no_traceback(tmp_path: Path) -> None:
    rng = random.Random(7)
    pool = samples()
    assert len(pool) >= 9
    path = tmp_path / "bent.xml"
    for n in range(120):
        path.write_bytes(mutate(pool[n % len(pool)][1], rng, rng.choice(pool)[1]))
        code, trouble = unsettled(path)
        assert not trouble, (n, code, trouble)
