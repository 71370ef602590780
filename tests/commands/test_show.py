"""`agentflow show` on run directories as the controller leaves them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_agentflow.cli import main

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))
from test_report_files import write_run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_run(tmp_path / ".agentflow", finished=False, name="20261120-0900-old")
    write_run(tmp_path / ".agentflow")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_run_id_the_last_run_is_summarised(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show"]) == 0
    out = capsys.readouterr().out
    assert "round 1  59/66   89.3 %" in out and "\x1b" not in out


def test_one_attempt_and_its_diff(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--attempt", "r1-a3"]) == 0
    assert "attempt r1-a3: regressed" in capsys.readouterr().out
    assert main(["show", "--attempt", "r1-a3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "regressed"


def test_json_is_the_transcript(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "20261121", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["format"] == "agentflow-transcript"


def test_an_unknown_attempt_names_the_known_ones(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--attempt", "r9-a9"]) == 4
    assert "r1-a1, r1-a2" in capsys.readouterr().err


def test_the_list_has_one_line_per_run(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--list"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "unfinished" in first and "89.3 % -> 93.9 %" in second


def test_outside_a_project_the_next_step_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["show"]) == 4
    assert "agentflow show: No .agentflow directory" in capsys.readouterr().err


def test_a_piped_diff_is_the_patch_byte_for_byte(project: Path) -> None:
    """`agentflow show --diff | git apply` must work: a pipe gets no colour and no spelled-out characters."""
    patches = project / ".agentflow" / "runs" / "20261121-0145-k3" / "patches"
    patches.mkdir()
    raw = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-\x1b[0m\xff\n+caf\xc3\xa9\r\n"
    (patches / "0001-r1-a1.patch").write_bytes(raw)
    (patches / "0002-r1-a2.patch").write_bytes(b"diff --git a/y b/y\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest_agentflow.cli", "show", "--diff"],
        cwd=project,
        check=False,
        capture_output=True,
    )
    assert (done.returncode, done.stdout) == (0, raw + b"diff --git a/y b/y\n")


def test_a_closed_pipe_ends_quietly(project: Path) -> None:
    command = f"{sys.executable} -m pytest_agentflow.cli show -v | true"
    done = subprocess.run(["bash", "-c", command], cwd=project, check=False, capture_output=True, text=True)
    assert done.stderr == ""
