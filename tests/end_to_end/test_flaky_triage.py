"""`pytest --flaky-triage` as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

TESTS = """
import time
CART = []
def test_add():
    CART.append("apple")
def test_cart_is_empty():
    assert CART == []
def test_hour():
    assert time.localtime(1700000000).tm_hour == 22
"""


def test_a_selection_is_triaged_in_a_copy_and_the_tree_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_shop.py").write_text(TESTS)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\ntestpaths = ['tests']\n")
    git = ["git", "-C", str(tmp_path), "-c", "user.email=a@b.c", "-c", "user.name=n"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    (tmp_path / "prices.py").write_text("def price():\n    return 3\n")  # changed since, and run by no test
    before = subprocess.run([*git, "status", "--short"], capture_output=True, text=True, check=True).stdout
    command = [sys.executable, "-m", "pytest", "--flaky-triage", "60x", "tests"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 flaky tests of 3" in done.stdout
    assert "fails after tests/test_shop.py::test_add" in done.stdout
    [found] = (tmp_path / ".agentflow" / "triage").glob("*/triage.json")
    told = json.loads(found.read_text())
    assert {r["category"] for r in told["records"]} == {"order_victim", "timezone"}
    assert sorted(told["elsewhere"]) == [
        "tests/test_shop.py::test_cart_is_empty",
        "tests/test_shop.py::test_hour",
    ]
    assert "not from this change" in done.stdout
    assert list((tmp_path / ".agentflow" / "history").glob("*.jsonl"))
    after = subprocess.run([*git, "status", "--short"], capture_output=True, text=True, check=True).stdout
    assert after == before
