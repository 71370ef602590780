"""The demo on a small sample project, and every rendering of that real run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import junitparser
import pytest

from pytest_agentflow.report import transcript_json

pytestmark = pytest.mark.slow  # `make demo` is the same run, and CI has no time for both

SOLUTION = Path(__file__).parents[2] / "fixtures" / "projects" / "romans.solution.patch"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path, Path]:
    """One run of the demo: how it ended, the repository, the run's directory."""
    temporary = tmp_path_factory.mktemp("demo")
    env = {
        **os.environ,
        "TMPDIR": str(temporary),
        "ANTHROPIC_API_KEY": "never-used",
        "GIT_DIR": "/nowhere",
        "GITHUB_STEP_SUMMARY": str(temporary / "page.md"),
    }
    command = [sys.executable, "-m", "pytest_agentflow.demo", "--project", "romans", "--", "-p", "no:asyncio"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    (top,) = temporary.glob("agentflow-demo-*/romans")
    (run,) = (top / ".agentflow" / "runs").iterdir()
    return done, top, run


def changed(patch: str) -> set[str]:
    return set(re.findall(r"^[+-](?![+-]).*", patch, re.M))


def test_the_demo_turns_a_red_suite_green_and_shows_the_diff(demo: tuple) -> None:
    done, top, _ = demo
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 fixed, 55.0 % -> 100.0 %" in done.stdout
    assert changed(done.stdout) == changed(SOLUTION.read_text())
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=top, capture_output=True, text=True, check=True
    )
    assert status.stdout.split() == ["M", "romans.py"]


def test_the_summary_page_of_a_ci_job_says_the_same(demo: tuple) -> None:
    _, _, run = demo
    page = (run.parents[4] / "page.md").read_text()
    assert page.startswith("## agentflow: 55.0 % → 100.0 %") and page.count("| fixed |") == 9


def test_a_log_of_a_real_run_has_no_escape_and_no_key(demo: tuple) -> None:
    done, _, run = demo
    assert "\x1b" not in done.stdout and "Traceback" not in done.stdout + done.stderr
    texts = [p.read_bytes() for p in run.rglob("*") if p.is_file()]
    assert not any(b"never-used" in text for text in texts)


def test_the_transcripts_of_a_real_run_agree(demo: tuple) -> None:
    done, _, run = demo
    told = json.loads((run / "transcript.json").read_text())
    jsonschema.validate(told, transcript_json.schema())
    assert (told["exit_code"], told["stop_reason"], told["finished"]) == (0, "converged", True)
    assert {t["state"] for t in told["targets"]} <= {"fixed", "plausible but weak"} and len(
        told["targets"]
    ) == 9
    assert told["unknown_events"] == 0
    (suite,) = junitparser.JUnitXml.fromfile(str(run / "junit.xml"))
    assert (suite.tests, suite.failures, suite.errors) == (20, 0, 0)
    page = (run / "transcript.html").read_text()
    for nodeid in (t["nodeid"] for t in told["targets"]):
        assert nodeid in done.stdout and nodeid in page and nodeid in (run / "transcript.md").read_text()


def test_every_unit_of_a_real_run_names_its_suspects(demo: tuple) -> None:
    told = json.loads((demo[2] / "transcript.json").read_text())
    units = [unit for r in told["rounds"] for unit in r["units"]]
    assert units and all(unit["suspects"][0]["path"] == "romans.py" for unit in units)


def test_show_diff_of_a_real_run_applies_to_the_commit(demo: tuple, tmp_path: Path) -> None:
    _, top, run = demo
    command = [sys.executable, "-m", "pytest_agentflow.cli", "show", run.name[:13], "--diff"]
    patch = subprocess.run(command, cwd=top, capture_output=True, check=True).stdout
    clean = tmp_path / "clean"
    subprocess.run(["git", "clone", "-q", str(top), str(clean)], check=True)
    subprocess.run(["git", "apply"], input=patch, cwd=clean, check=True)
    assert (clean / "romans.py").read_bytes() == (top / "romans.py").read_bytes()


def test_an_unknown_project_is_named(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "pytest_agentflow.demo", "--project", "nosuch", "--remove"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "No sample project 'nosuch'" in done.stderr
    assert shutil.which("git") and "Traceback" not in done.stderr
