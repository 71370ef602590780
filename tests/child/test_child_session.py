"""What does a child session keep from the code that it runs?"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from pytest_agentflow.adapters.sessions import RunSpec, run_session
from pytest_agentflow.core.model import Outcome

DAY = 86400

CONFTEST = """
import os, socket
CHANNEL = os.environ.get("AGENTFLOW_CHANNEL")
INHERITED = []
for fd in range(3, 64):
    try:
        if os.get_inheritable(fd) and socket.socket(fileno=os.dup(fd)).family is not None:
            INHERITED.append(fd)
    except OSError:
        pass
"""


def test_a_conftest_finds_no_channel_and_no_descriptor_of_it_to_hand_on(tmp_path: Path) -> None:
    """Conftests import the code under test, so what they could read at import a patch could read."""
    tree, scratch = tmp_path / "tree", tmp_path / "scratch"
    tree.mkdir()
    scratch.mkdir()
    (tree / "conftest.py").write_text(CONFTEST)
    (tree / "test_a.py").write_text(
        "import conftest\n\ndef test_a():\n    assert conftest.CHANNEL is None and conftest.INHERITED == []\n"
    )
    spec = RunSpec(python=sys.executable, sandbox="none")
    record = run_session(spec, tree, ids=None, scratch=scratch, timeout=60.0)
    assert record.results["test_a.py::test_a"].outcome is Outcome.PASSED


def test_a_plugin_that_the_options_name_finds_no_channel_and_no_unwatched_moment(tmp_path: Path) -> None:
    """Such a plugin is imported before any conftest, and may import the code under test."""
    tree, scratch = tmp_path / "tree", tmp_path / "scratch"
    tree.mkdir()
    (tree / "pytest.ini").write_text("[pytest]\naddopts = -p early\n")
    (tree / "early.py").write_text(
        CONFTEST + "import time, unittest\nBEGAN = time.time()\nunittest.TestCase.assertTrue = print\n"
    )
    (tree / "test_a.py").write_text(
        "import early\n\ndef test_a():\n    assert early.CHANNEL is None and early.INHERITED == []\n"
        f"    assert early.BEGAN > {time.time() + 399 * DAY}\n"
    )
    spec = RunSpec(python=sys.executable, sandbox="none", inifile="pytest.ini", import_roots=(".",))
    integrity = {"top": str(tree), "tests": []}
    reruns = {"rootdir": ".", "repeats": 0, "seconds": 1, "each": 1, "clock": 400 * DAY}
    record = run_session(
        spec, tree, ids=None, scratch=scratch, timeout=60.0,
        plugins={"pytest_agentflow.child.integrity": integrity, "pytest_agentflow.child.reruns": reruns},
    )  # fmt: skip
    assert record.results["test_a.py::test_a"].outcome is Outcome.PASSED
    assert "unittest.case.TestCase.assertTrue" in record.extra["changed"]


def test_a_traceback_begins_in_the_test_and_not_in_what_watches_it(tmp_path: Path) -> None:
    tree, scratch = tmp_path / "tree", tmp_path / "scratch"
    tree.mkdir()
    (tree / "test_a.py").write_text("def test_a():\n    assert 0\n")
    spec = RunSpec(python=sys.executable, sandbox="none")
    recorder = {"roots": ["."], "omit": [], "level": "lines", "out": str(tmp_path / "out"), "top": str(tree)}
    record = run_session(
        spec, tree, ids=None, scratch=scratch, timeout=60.0,
        extra_args=("-p", "pytest_agentflow.child.recorder"), extra_env={"AGENTFLOW_RECORDER": json.dumps(recorder)},
    )  # fmt: skip
    failure = record.results["test_a.py::test_a"].failure
    assert failure is not None
    assert [frame.path for frame in failure.frames] == ["test_a.py"]
    assert "recorder" not in failure.text


def test_a_gate_holds_in_a_process_that_has_our_code_loaded(tmp_path: Path) -> None:
    """A script that uses the package and then runs pytest is no child session."""
    (tmp_path / "test_a.py").write_text("def test_a():\n    assert 0\n\n\ndef test_b():\n    pass\n")
    script = (
        "import pytest, pytest_agentflow.adapters.sessions\n"
        "raise SystemExit(pytest.main(['-q', '-p', 'no:cacheprovider', '--pass-threshold', '99', 'test_a.py']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "below 99" in done.stdout
    assert done.returncode == 1
