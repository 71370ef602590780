"""Real projects in real git repositories, and the real command line."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lean import ADDOPTS

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "projects"


@dataclass
class Done:
    """A finished command."""

    code: int
    out: str

    def __repr__(self) -> str:
        return f"exit code {self.code}\n{self.out}"


@dataclass
class Project:
    """A git repository with a project in it."""

    top: Path

    def git(self, *args: str) -> str:
        identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.invalid"]
        done = subprocess.run(
            ["git", *identity, *args], cwd=self.top, capture_output=True, text=True, check=True
        )
        return done.stdout

    def write(self, path: str, text: str) -> None:
        place = self.top / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def commit(self, words: str = "state") -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", words)

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args]

    def environment(self) -> dict[str, str]:
        clean = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("PYTEST", "AGENTFLOW", "COV_", "ANTHROPIC", "GIT_"))
        }
        return {**clean, "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": ADDOPTS}

    def pytest(self, *args: str, timeout: float = 180, cwd: str = ".") -> Done:
        done = subprocess.run(
            self.command(*args),
            cwd=self.top / cwd,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment(),
        )
        return Done(done.returncode, done.stdout + done.stderr)

    def agentflow(self, *args: str, timeout: float = 180) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "pytest_agentflow.cli", *args],
            cwd=self.top, capture_output=True, text=True, timeout=timeout, env=self.environment(),
        )  # fmt: skip
        return Done(done.returncode, done.stdout + done.stderr)

    def configure(self, **agents: dict[str, Any]) -> None:
        """Write scripted agents into the project's configuration."""
        text = (self.top / "pyproject.toml").read_text() if (self.top / "pyproject.toml").exists() else ""
        for name, section in agents.items():
            plan = self.top.parent / f"{name}-plan.json"
            plan.write_text(json.dumps({"rules": section["rules"]}))
            text += f'\n[tool.agentflow.agents.{name}]\nkind = "scripted"\nplan = "{plan}"\n'
        (self.top / "pyproject.toml").write_text(text)

    def state(self) -> dict[str, Any]:
        """Everything a run that fixes nothing must leave identical. The mtime of `.git` itself moves with git's own lock files."""
        index = self.top / ".git" / "index"
        files = {}
        for path in sorted(self.top.rglob("*")):
            inside = path.relative_to(self.top).parts
            if inside[0] in (".git", ".agentflow") or "__pycache__" in inside or not path.is_file():
                continue
            files[str(path.relative_to(self.top))] = (path.stat().st_mtime_ns, path.read_bytes())
        return {
            "index": index.read_bytes(),
            "index mtime": index.stat().st_mtime_ns,
            "config": (self.top / ".git" / "config").read_bytes(),
            "refs": self.git("for-each-ref"),
            "head": (self.top / ".git" / "HEAD").read_bytes(),
            "stash": self.git("stash", "list"),
            "status": self.git("--no-optional-locks", "status", "--porcelain"),
            "files": files,
        }

    def journal(self, run: int = -1) -> list[dict[str, Any]]:
        directory = sorted((self.top / ".agentflow" / "runs").iterdir())[run]
        return [json.loads(line) for line in (directory / "journal.jsonl").read_text().splitlines()]

    def run_directory(self) -> Path:
        return sorted((self.top / ".agentflow" / "runs").iterdir())[-1]

    def tree_digest(self) -> str:
        digest = hashlib.sha256()
        for name, (_, content) in sorted(self.state()["files"].items()):
            digest.update(name.encode() + b"\0" + content + b"\0")
        return digest.hexdigest()


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    """A repository without commits."""
    made = Project(tmp_path / "repo")
    made.top.mkdir()
    made.git("init", "-q", "-b", "main")
    return made


@pytest.fixture
def sample(tmp_path: Path):
    """Copies a project of fixtures/ into a repository of its own."""

    def make(name: str) -> Project:
        made = Project(tmp_path / name)
        shutil.copytree(
            FIXTURES / name, made.top, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache")
        )
        made.git("init", "-q", "-b", "main")
        made.commit("as it is")
        return made

    return make


CALC = """\
def add(a, b):
    return a - b


def double(a):
    return a + a + a


def half(a):
    return a / 2
"""
TEST_CALC = """\
import pytest

from calc import add, double, half


@pytest.mark.parametrize(("a", "b", "c"), [(1, 2, 3), (0, 5, 5), (-1, 1, 0), (4, 4, 8)])
def test_add(a, b, c):
    assert add(a, b) == c


@pytest.mark.parametrize(("a", "b"), [(1, 2), (3, 6), (-2, -4)])
def test_double(a, b):
    assert double(a) == b


@pytest.mark.parametrize(("a", "b"), [(2, 1), (0, 0)])
def test_half(a, b):
    assert half(a) == b
"""
FIX_ADD = {
    "target": "test_calc.py::test_add*",
    "edits": [{"path": "calc.py", "old": "a - b", "new": "a + b"}],
}
FIX_DOUBLE = {
    "target": "test_calc.py::test_double*",
    "edits": [{"path": "calc.py", "old": "a + a + a", "new": "a + a"}],
}


@pytest.fixture
def calc(empty: Project) -> Project:
    """Two bugs in one flat module, a scripted agent `honest` that fixes both."""
    empty.write("calc.py", CALC)
    empty.write("test_calc.py", TEST_CALC)
    empty.write("pyproject.toml", '[tool.pytest.ini_options]\npythonpath = ["."]\n')
    empty.configure(honest={"rules": [FIX_ADD, FIX_DOUBLE]}, idle={"rules": []})
    empty.commit()
    return empty
