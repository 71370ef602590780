"""`agentflow undo` and `agentflow clean` on runs as they lie on disk."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

from pytest_agentflow import cli
from pytest_agentflow.adapters import delivery
from pytest_agentflow.adapters.delivery import Commit
from pytest_agentflow.adapters.journal import Journal
from pytest_agentflow.adapters.repository import open_repository
from pytest_agentflow.adapters.snapshot import take, with_files
from pytest_agentflow.adapters.workspaces import Pool, base_directory


def git(where: Path, *args: str) -> str:
    config = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    return subprocess.run(
        ["git", *config, *args], cwd=where, capture_output=True, check=True, text=True
    ).stdout


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    top = tmp_path / "p"
    (top / "sub").mkdir(parents=True)
    git(top, "init", "-q")
    (top / "a.py").write_text("a = 1\n")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "start")
    monkeypatch.chdir(top / "sub")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return top


def make_run(top: Path, name: str, *, finished: bool = True, deliver: bytes | None = None) -> Path:
    run = top / ".agentflow" / "runs" / name
    run.mkdir(parents=True)
    (top / ".agentflow" / ".gitignore").write_text("*\n")
    journal = Journal(run / "journal.jsonl")
    journal.append("started", {"version": 1, "run": name})
    if finished:
        journal.append("reported", {"exit_code": 0})
    journal.close()
    age = 1_700_000_000 + len(list(run.parent.iterdir()))
    os.utime(run / "journal.jsonl", (age, age))
    if deliver is not None:
        repo = open_repository(top)
        base = take(repo, run / "base.git")
        final = with_files(base, {"a.py": deliver})
        delivery.write_branch(repo, f"agentflow/{name}", base, [Commit(final, "Fix")])
        assert delivery.apply_to_tree(repo, base, final, run / "delivery.json").applied
    return run


def test_undo_restores_the_last_delivery_and_keeps_the_branch(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(project, "r1", deliver=b"a = 2\n")
    make_run(project, "r2")
    assert cli.main(["undo"]) == 0
    assert (project / "a.py").read_text() == "a = 1\n"
    assert "restored a.py\n1 file back as before run r1" in capsys.readouterr().out
    assert "agentflow/r1" in git(project, "branch", "--list", "agentflow/*")
    assert cli.main(["undo"]) == 4
    assert "No run's changes are in the working tree." in capsys.readouterr().err


def test_an_undo_that_was_killed_before_it_began_is_found_again_without_its_name(project: Path) -> None:
    record = make_run(project, "r1", deliver=b"a = 2\n") / "delivery.json"
    facts = json.loads(record.read_text())
    for change in facts["changes"]:
        change["before"], change["after"] = change["after"], change["before"]
    record.write_text(json.dumps({**facts, "direction": "undo", "state": "prepared"}))
    assert cli.main(["undo"]) == 0
    assert (project / "a.py").read_text() == "a = 1\n"


def test_undo_refuses_after_a_later_edit_in_two_lines(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(project, "r1", deliver=b"a = 2\n")
    (project / "a.py").write_text("a = 3\n")
    assert cli.main(["undo", "r1"]) == 4
    assert (project / "a.py").read_text() == "a = 3\n"
    error = capsys.readouterr().err
    assert "changed meanwhile: a.py" in error and "git apply -R" in error
    assert len(error.strip().splitlines()) == 2


def test_undo_of_a_run_without_a_delivery_says_so(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(project, "r1")
    assert cli.main(["undo", "r1"]) == 4
    assert "delivered nothing" in capsys.readouterr().err


def test_clean_keeps_the_newest_finished_runs_and_every_unfinished_one(project: Path) -> None:
    for n in range(8):
        make_run(project, f"r{n}", finished=n != 1)
    (project / ".agentflow/runs/never-started").mkdir()
    (make_run(project, "r8") / "journal.jsonl").write_text("damaged\n")
    assert cli.main(["clean", "--keep", "3"]) == 0
    assert sorted(p.name for p in (project / ".agentflow/runs").iterdir()) == ["r1", "r5", "r6", "r7", "r8"]
    assert cli.main(["clean", "r6"]) == 0
    assert sorted(p.name for p in (project / ".agentflow/runs").iterdir()) == ["r1", "r5", "r7", "r8"]
    assert cli.main(["clean", "--all"]) == 0
    assert list((project / ".agentflow/runs").iterdir()) == []


def test_clean_removes_branches_only_when_asked_and_nothing_in_a_dry_run(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(project, "r1", deliver=b"a = 2\n")
    make_run(project, "r2", deliver=b"a = 3\n")
    assert cli.main(["clean", "--keep", "0", "--branches", "--dry-run"]) == 0
    assert "would remove run r1" in capsys.readouterr().out
    assert (project / ".agentflow/runs/r1").exists()
    assert cli.main(["clean", "r1"]) == 0
    assert cli.main(["clean", "r2", "--branches"]) == 0
    assert git(project, "branch", "--list", "agentflow/*").split() == ["agentflow/r1"]


def test_clean_sweeps_dead_workspaces_and_waits_for_no_run(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = Pool(base_directory() / "dead", run="r0")
    os.close(dead._marker)
    assert cli.main(["clean"]) == 0
    assert "dead" in capsys.readouterr().out and not dead.root.exists()
    make_run(project, "r1")
    with FileLock(str(project / ".agentflow/lock")):
        assert cli.main(["clean", "--all"]) == 4
        assert cli.main(["undo"]) == 4
    assert "A run works in" in capsys.readouterr().err
    assert (project / ".agentflow/runs/r1").exists()
