"""Git facts for localisation, from a real repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pytest_agentflow.adapters import changes


def git(top: Path, *args: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *args], cwd=top, check=True, capture_output=True)


def repository(top: Path) -> Path:
    git(top, "init", "-q")
    (top / "old.py").write_text("a = 1\n")
    git(top, "add", ".")
    git(top, "commit", "-qm", "one")
    (top / "new.py").write_text("a = 1\nb = 2\nc = 3\n")
    git(top, "add", ".")
    git(top, "commit", "-qm", "two")
    return top


def test_uncommitted_lines_are_those_that_head_does_not_have(tmp_path: Path) -> None:
    top = repository(tmp_path)
    (top / "new.py").write_text("a = 1\nb = 5\nc = 3\n")
    (top / "untracked.py").write_text("x = 1\n")
    found = changes.read(top, top, ["old.py", "new.py", "untracked.py", "gone.py"])
    assert found.uncommitted == {"new.py": frozenset({2}), "untracked.py": frozenset({1})}


def test_a_deleted_line_marks_both_neighbours() -> None:
    assert changes.changed_lines([b"a", b"b", b"c"], [b"a", b"c"]) == {1, 2}


def test_later_commits_weigh_more_and_are_said_in_words(tmp_path: Path) -> None:
    top = repository(tmp_path)
    found = changes.read(top, top, ["old.py", "new.py"])
    assert found.recent["new.py"] > found.recent["old.py"]
    assert "ago" in found.ages["new.py"]


def test_no_repository_or_no_commit_means_no_facts(tmp_path: Path) -> None:
    assert changes.read(None, tmp_path, []) == changes.Changes()
    git(tmp_path, "init", "-q")
    assert changes.read(tmp_path, tmp_path, []) == changes.Changes()
