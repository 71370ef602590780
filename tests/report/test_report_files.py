"""Run directories in, renderings out."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from report_journals import repaired, wide

from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.report import files, transcript_json
from pytest_agentflow.report.building import build
from pytest_agentflow.report.model import RunReport


def write_run(home: Path, finished: bool = True, name: str = "20261121-0145-k3") -> Path:
    """A run directory as the controller leaves it, its journal chained by the project's own code."""
    from pytest_agentflow.core import events as chain

    run = home / "runs" / name
    told, attempts = repaired(finished=finished)
    last, lines = None, []
    for event in told:
        last = chain.link(last, event["t"], event["event"], event["data"])
        lines.append(last.line() + "\n")
    run.mkdir(parents=True)
    (run / "journal.jsonl").write_text("".join(lines), encoding="utf-8")
    for attempt, directory in attempts.items():
        place = run / "attempts" / attempt
        place.mkdir(parents=True)
        (place / "attempt.json").write_text(json.dumps(directory["attempt"]))
        (place / "result.json").write_text(json.dumps(directory["result"]))
        (place / "patch.diff").write_text(directory["patch"])
        (place / "agent.log").write_text(directory["log"])
    return run


def test_a_run_on_disk_reads_as_it_was_written(tmp_path: Path, report: RunReport) -> None:
    loaded = files.load(write_run(tmp_path))
    assert loaded == report


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    journal = run / "journal.jsonl"
    raw = journal.read_bytes()
    journal.write_bytes(raw[:-20])
    assert not files.load(run).finished


def test_an_altered_journal_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    journal = run / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"verdict":"regressed"', b'"verdict":"plausible"', 1))
    with pytest.raises(AgentflowError, match="cannot be trusted"):
        files.load(run)


def test_half_written_attempt_files_are_no_reason_to_fail(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    (run / "attempts" / "r1-a1" / "result.json").write_text('{"message": "cut')
    (run / "attempts" / "r1-a1" / "agent.log").write_bytes(b"\xff" * 100_000)
    attempt = files.load(run).attempt("r1-a1")
    assert attempt and attempt.message == "" and len(attempt.log) < 70_000


def test_the_json_transcript_follows_its_schema(report: RunReport, interrupted: RunReport) -> None:
    schema = transcript_json.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for each in (report, interrupted, build(*wide(20, 4)), build([], {})):
        jsonschema.validate(transcript_json.document(each), schema)


def test_the_json_transcript_is_plain_ascii_json(report: RunReport) -> None:
    text = transcript_json.render(report)
    assert text.isascii() and json.loads(text)["format_version"] == 1
    assert json.loads(text)["targets"][0]["state"] == "fixed"


def test_the_last_run_is_found_from_a_subdirectory(tmp_path: Path) -> None:
    write_run(tmp_path / ".agentflow", name="20260101-0000-aa")
    last = write_run(tmp_path / ".agentflow", name="20260102-0000-bb")
    below = tmp_path / "src" / "deep"
    below.mkdir(parents=True)
    assert files.find(below) == last
    assert files.find(below, "20260101").name == "20260101-0000-aa"


@pytest.mark.parametrize(("wanted", "said"), [("2026", "2 runs begin with"), ("1999", "no run '1999'")])
def test_a_run_that_is_unknown_or_ambiguous_is_named(tmp_path: Path, wanted: str, said: str) -> None:
    write_run(tmp_path / ".agentflow", name="20260101-0000-aa")
    write_run(tmp_path / ".agentflow", name="20260102-0000-bb")
    with pytest.raises(AgentflowError, match=said) as caught:
        files.find(tmp_path, wanted)
    assert "20260102-0000-bb" in caught.value.next_step


def test_no_agentflow_directory_has_a_next_step(tmp_path: Path) -> None:
    with pytest.raises(AgentflowError, match=r"No \.agentflow directory") as caught:
        files.find(tmp_path)
    assert "pytest --agent-fix" in caught.value.next_step
