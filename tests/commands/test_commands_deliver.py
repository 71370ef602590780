"""`agentflow deliver`: a branch and a text per fix, and nothing in them that is not that fix."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pytest_agentflow import cli
from pytest_agentflow.adapters.journal import Journal
from pytest_agentflow.adapters.repository import open_repository
from pytest_agentflow.adapters.snapshot import take, with_files

FIXES = {"r1-a1": b"a = 2\nb = 1\n", "r1-a2": b"a = 3\nb = 1\n"}  # the second changes the line of the first
NODE = "tests/test_a.py::test_it[two  spaces, it's one id]"


def git(where: Path, *args: str) -> str:
    config = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    return subprocess.run(
        ["git", *config, *args], cwd=where, capture_output=True, check=True, text=True
    ).stdout


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with two fixes, made on uncommitted work."""
    top = tmp_path / "p"
    top.mkdir()
    git(top, "init", "-q", "-b", "main")
    for name, value in (("user.name", "A"), ("user.email", "a@example.org")):
        git(top, "config", name, value)
    (top / "a.py").write_text("a = 0\nb = 1\n")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "start")
    (top / "a.py").write_text("a = 1\nb = 1\n")
    run = top / ".agentflow/runs/r"
    run.mkdir(parents=True)
    (top / ".agentflow/.gitignore").write_text("*\n")
    base = take(open_repository(top), run / "base.git")
    journal = Journal(run / "journal.jsonl")
    journal.append("started", {"run": "r", "base": base.tree, "repository": {"dirty": True}})
    commits = []
    for name, content in FIXES.items():
        journal.append("verified", {"attempt": name, "verdict": "plausible", "reason": "every layer agrees"})
        tree = with_files(base, {"a.py": content}).tree
        commits.append({"attempt": name, "tree": tree, "targets": [NODE], "verdict": "plausible"})
    journal.append("integrated", {"round": 1, "commits": commits, "tree": commits[-1]["tree"]})
    journal.append("reported", {"exit_code": 0})
    journal.close()
    monkeypatch.chdir(top)
    return top


def test_a_fix_on_top_of_another_has_that_one_below_it_as_a_commit_of_its_own(project: Path) -> None:
    assert cli.main(["deliver"]) == 0
    subjects = git(project, "log", "--format=%s", "main..agentflow/r-r1-a2").splitlines()
    assert subjects[2] == "Uncommitted work when agentflow started"
    assert len(subjects) == 3
    assert git(project, "diff", "agentflow/r-r1-a2~1", "agentflow/r-r1-a2").count("\n+a = 3") == 1
    text = (project / ".agentflow/runs/r/deliver/0002-r1-a2.md").read_text()
    assert "This branch stands on `agentflow/r-r1-a1`: merge that one first." in text
    assert "Its first commit is work that was not committed" in text


def test_the_text_shows_red_and_green_with_commands_that_run(project: Path) -> None:
    assert cli.main(["deliver", "--attempt", "r1-a1"]) == 0
    text = (project / ".agentflow/runs/r/deliver/0001-r1-a1.md").read_text()
    assert "git switch --detach agentflow/r-r1-a1~1   # red" in text
    assert """python -m pytest 'tests/test_a.py::test_it[two  spaces, it'"'"'s one id]'""" in text
    assert git(project, "show", "agentflow/r-r1-a1~1:a.py") == "a = 1\nb = 1\n"
    assert not (project / ".agentflow/runs/r/deliver/0002-r1-a2.md").exists()


def test_a_run_without_a_fix_is_said_to_have_none(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["deliver", "--attempt", "r9-a9"]) == 1
    assert "Run r has no accepted fix r9-a9." in capsys.readouterr().err
