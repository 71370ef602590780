"""The sample projects are what they claim to be: red as shipped, green with their reference solution."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECTS = Path(__file__).parents[2] / "fixtures" / "projects"
# name: failing as shipped, passing with the solution (the flaky test of the mailroom left out)
CLAIMS = {"cornershop": (20, 128), "romans": (9, 20), "thermostat": (6, 13), "mailroom": (3, 11)}
FLAKY = "tests/test_retry.py::test_the_first_delay_is_short"


def run(top: Path) -> dict[str, int]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
        "--deselect",
        FLAKY,
    ]
    done = subprocess.run(command, cwd=top, check=False, capture_output=True, text=True)
    return {
        word: int(n) for n, word in re.findall(r"(\d+) (failed|passed|error)\b", done.stdout.splitlines()[-1])
    }


@pytest.mark.parametrize("name", CLAIMS)
def test_red_as_shipped_and_green_with_the_solution(name: str, tmp_path: Path) -> None:
    top = tmp_path / name
    shutil.copytree(PROJECTS / name, top)
    failing, total = CLAIMS[name]
    assert run(top)["failed"] == failing
    patch = PROJECTS / f"{name}.solution.patch"
    subprocess.run(["git", "apply", "--unsafe-paths", str(patch)], cwd=top, check=True)
    assert run(top) == {"passed": total}


def test_the_demo_project_has_independent_bugs_in_different_files() -> None:
    patch = (PROJECTS / "cornershop.solution.patch").read_text()
    assert len(re.findall(r"^diff --git", patch, re.M)) == 5
    assert len(re.findall(r"^\+(?!\+\+)", patch, re.M)) == 5
    assert len(list((PROJECTS / "cornershop" / "src").rglob("*.py"))) >= 9
