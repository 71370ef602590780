"""Renderings go to disk one by one, and one that fails is named."""

from __future__ import annotations

from pathlib import Path

from pytest_agentflow.core.model import Outcome, TestResult
from pytest_agentflow.report.model import RunReport
from pytest_agentflow.report.writing import write

RESULTS = {"t.py::a": TestResult("t.py::a", Outcome.PASSED)}


def test_every_rendering_is_written_whole(tmp_path: Path, report: RunReport) -> None:
    written = write(tmp_path, report, ["t.py::a"], RESULTS)
    assert sorted(written.paths) == ["junit.xml", "transcript.html", "transcript.json", "transcript.md"]
    assert all(path.stat().st_size > 200 for path in written.paths.values())
    assert not written.problems and len(list(tmp_path.iterdir())) == 4


def test_a_rendering_that_fails_is_named_and_takes_no_other_with_it(
    tmp_path: Path, report: RunReport
) -> None:
    (tmp_path / "transcript.html").mkdir()
    written = write(tmp_path, report, ["t.py::a"], RESULTS)
    assert sorted(written.paths) == ["junit.xml", "transcript.json", "transcript.md"]
    (problem,) = written.problems
    assert problem.startswith("transcript.html could not be written: IsADirectoryError")
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")], "nothing half-written stays"


def test_the_job_summary_is_appended_with_rate_targets_reason_and_the_way_to_the_patch(
    tmp_path: Path, report: RunReport, interrupted: RunReport
) -> None:
    page = tmp_path / "summary.md"
    page.write_text("an earlier step\n")
    assert not write(tmp_path, report, job_summary=page).problems
    text = page.read_text()
    assert text.startswith("an earlier step\n## agentflow: 89.3 % → ")
    assert "| stopped | stagnated: the same failures" in text
    assert "| fixed | `tests/test_tax.py::test_rate` | `r1-a1` |" in text
    assert f"agentflow show --diff {report.run} > fixes.patch" in text and "\x1b" not in text
    write(tmp_path, interrupted, job_summary=page)
    assert f"`pytest --agent-resume {interrupted.run}` goes on" in page.read_text()


def test_a_summary_page_that_cannot_be_written_is_a_note(tmp_path: Path, report: RunReport) -> None:
    (problem,) = write(tmp_path, report, job_summary=tmp_path / "gone" / "page.md").problems
    assert problem.startswith("the job summary could not be written: FileNotFoundError")
