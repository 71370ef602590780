"""`agentflow triage REPORT…` on files alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_agentflow.adapters import history
from pytest_agentflow.cli import main
from pytest_agentflow.core.history import PastRun, study
from pytest_agentflow.core.model import Outcome, TestResult


def report(path: Path, commit: str, day: int, cases: str) -> None:
    named = f'<properties><property name="commit" value="{commit}"/></properties>' if commit else ""
    path.write_text(
        f'<testsuites><testsuite name="pytest" timestamp="2026-09-{day:02d}T08:00:00+00:00">'
        f"{named}{cases}</testsuite></testsuites>"
    )


def case(name: str, red: bool = False) -> str:
    inner = '<failure message="assert 1 == 2">x</failure>' if red else ""
    return f'<testcase classname="tests.test_a" name="{name}" time="0.1">{inner}</testcase>'


def test_flaky_tests_are_ranked_and_a_retry_is_no_test(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for day in range(1, 11):
        retried = case("test_often", red=day % 2 == 0)
        cases = case("test_fine") + case("test_broken", red=True) + retried + case("test_rare", red=day == 4)
        report(tmp_path / f"{day}.xml", "c1" if day < 6 else "c2", day, cases)
    assert main(["triage", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "10 runs of 4 tests: 2 flaky tests" in out
    assert out.index("test_often") < out.index("test_rare")
    assert "fails 5 of 10" in out
    assert "fails whenever it runs" in out
    assert main(["triage", "--json", str(tmp_path)]) == 1
    data = json.loads(capsys.readouterr().out)
    assert [t["nodeid"].rpartition("::")[2] for t in data["flaky"]] == ["test_often", "test_rare"]


def test_both_verdicts_without_a_commit_are_unexplained_and_the_output_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for day in range(1, 5):
        report(tmp_path / f"{day}.xml", "", day, case("test_fine") + case("test_torn", red=day == 2))
    assert main(["triage", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "4 runs of 2 tests: 0 flaky tests, 1 unexplained flip" in out
    assert "4 of 4 runs name no commit" in out
    assert "? tests.test_a::test_torn  fails 1 of 4" in out
    assert "--commit SHA" in out
    assert "`commit`" in out
    assert main(["triage", "--json", str(tmp_path)]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["flaky"], data["runs_without_commit"]) == ([], 4)
    assert [t["nodeid"] for t in data["unexplained"]] == ["tests.test_a::test_torn"]


def test_reports_that_name_no_commit_are_of_the_one_that_the_caller_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for day in range(1, 5):
        report(tmp_path / f"{day}.xml", "", day, case("test_torn", red=day == 2))
    assert main(["triage", "--commit", "c1", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "1 flaky test\n" in out
    assert "both verdicts on 1 commit" in out


def test_a_commit_that_a_report_names_is_not_overruled_and_explains_the_other_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for day, commit in enumerate(("c1", "c2", "c1"), 1):
        report(tmp_path / f"{day}.xml", commit, day, case("test_x", red=commit == "c2"))
    assert main(["triage", "--commit", "c1", str(tmp_path)]) == 0
    assert "0 flaky tests\n" in capsys.readouterr().out


def test_attempts_of_rerunfailures_are_attempts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = '<testcase classname="tests.test_a" name="test_x" time="0.1"/>'
    report(tmp_path / "a.xml", "c1", 1, bare + bare)
    assert main(["triage", "--json", str(tmp_path)]) == 1
    [test] = json.loads(capsys.readouterr().out)["flaky"]
    assert (test["runs"], test["failures"], test["retried_green"]) == (1, 1, 1)


def test_nothing_readable_is_2_and_one_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.xml").write_text("<html>")
    assert main(["triage", str(tmp_path / "bad.xml")]) == 2
    assert "bad.xml" in capsys.readouterr().err
    assert main(["triage"]) == 4


def test_history_files_of_two_machines_merge_by_copying(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    result = {n: TestResult(n, o) for n, o in (("a", Outcome.PASSED), ("b", Outcome.SKIPPED))}
    history.append(here, "tree1", result, "here")
    history.write(there, PastRun("tree1", 5.0, "there", {"a": "f"}))
    assert history.merge(here, [there]) == 1
    assert history.merge(here, [there]) == 0
    [test] = study(history.read(here))
    assert test.flipped_trees == ("tree1",)
    file = next((here / "history").glob("*.jsonl"))
    file.write_text(file.read_text() + '{"torn')
    assert len(list(history.read(here))) == 2
