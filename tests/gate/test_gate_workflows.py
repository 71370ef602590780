"""The CI recipes of docs/how-to, run as they stand: their shell lines in a fresh clone of a small project."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "block-a-merge.md"
TESTS = "def test_total():\n    assert {total}\n\ndef test_known():\n    assert 1 == 2\n"


def shell_lines(page: Path, language: str, first: str) -> str:
    """The one block of this language that holds `first`."""
    blocks = re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.S)
    [block] = [b for b in blocks if first in b]
    return block


def github_steps() -> list[str]:
    """The `run:` texts of the workflow, as GitHub hands them to bash; folded ones become one line."""
    block = shell_lines(PAGE, "yaml", "runs-on")
    steps = []
    for _, mark, inline, text in re.findall(
        r"\n( +)(?:- )?run: (?:(\||>-)|([^\n]+))((?:\n(?: {10,})[^\n]*)*)", block
    ):
        lines = [line.strip() for line in text.strip().splitlines()]
        steps.append(inline or (" ".join(lines) if mark == ">-" else "\n".join(lines)))
    return steps


def gitlab_script() -> str:
    block = shell_lines(PAGE, "yaml", "script:")
    text = re.search(r"  script:\n(.*?)\n  artifacts", block, re.S)[1]
    return "\n".join(re.sub(r"\n {6}(?=\S)", " ", text).replace("    - ", "").splitlines())


def jenkins_script() -> str:
    block = shell_lines(PAGE, "groovy", "sh '''")
    return re.search(r"sh '''\n(.*?)'''", block, re.S)[1].replace("\\\\\n", "\\\n")


@pytest.fixture
def clone(tmp_path: Path):
    """A clone with a branch `change` on `main`, which holds a baseline; `run` executes shell lines in it."""
    origin = tmp_path / "origin"
    origin.mkdir()
    env = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("PYTEST", "COV", "AGENTFLOW", "GITHUB", "GIT_"))
    }
    env |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}", "HOME": str(tmp_path), "PYTEST_ADDOPTS": "-q -p no:asyncio -p no:cacheprovider",
        "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.com", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.com",
    }  # fmt: skip

    def run(lines: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-e", "-c", lines],
            cwd=cwd,
            env=env | more,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    (origin / "test_cart.py").write_text(TESTS.format(total="sum([1, 2]) == 3"))
    (origin / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (origin / ".gitignore").write_text("__pycache__\n*.egg-info\n")
    made = run(
        "git init -q -b main; pytest --junitxml=report.xml || true\n"
        "agentflow baseline write report.xml --baseline .agentflow-baseline.json; rm report.xml; git add -A; git commit -qm base; cat .agentflow-baseline.json",
        origin,
    )
    assert '"test_cart::test_total": {"state": "passed"' in made.stdout, made
    work = tmp_path / "work"
    assert run(f"git clone -q {origin} {work}; cd {work}; git checkout -qb change", tmp_path).returncode == 0
    return work, run


def through_github(work: Path, run) -> int:
    """Steps in order, with outputs handed on; the first failing one ends the job, as on GitHub."""
    values = {"github.base_ref": "main"}
    for step in github_steps():
        if step.startswith("pip install"):
            continue
        lines = re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda m, known=values: known[m[1]], step)
        done = run(
            lines,
            work,
            GITHUB_OUTPUT=str(work / ".out"),
            GITHUB_STEP_SUMMARY=str(work / ".summary"),
            GITHUB_ACTIONS="true",
        )
        if done.returncode:
            return done.returncode
        if (work / ".out").exists():
            values |= {
                f"steps.tests.outputs.{k}": v
                for k, v in re.findall(r"(\w+)=(.*)", (work / ".out").read_text())
            }
    return 0


def test_the_workflow_for_github_passes_known_failures_and_blocks_edited_rules(clone) -> None:
    work, run = clone
    assert len(github_steps()) == 3
    assert through_github(work, run) == 0
    assert "Gate: pass" in (work / ".summary").read_text()
    (work / "test_cart.py").write_text(TESTS.format(total="sum([1, 2]) == 4"))
    baseline = work / ".agentflow-baseline.json"
    known = '"state": "failed", "signatures": ["AssertionError: assert # == #"]'
    baseline.write_text(baseline.read_text().replace('"state": "passed"', known))
    assert through_github(work, run) == 1


def test_the_scripts_for_gitlab_and_jenkins_pass_known_failures_and_block_new_ones(clone) -> None:
    work, run = clone
    gitlab = gitlab_script().replace("pip install -e . pytest pytest-agentflow", "true")
    assert run(gitlab, work, CI_DEFAULT_BRANCH="main").returncode == 0
    assert (work / "gate.html").exists()
    (work / "test_cart.py").write_text(TESTS.format(total="sum([1, 2]) == 4"))
    assert run(jenkins_script(), work, CHANGE_TARGET="main").returncode == 1
