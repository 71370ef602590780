"""Reports that real runners write while the test watches. What is absent on a machine is skipped with its reason."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from gate_helpers import Bench

SUITE = """
import os, pytest
seen = []
def test_ok(): pass
def test_flaky():
    seen.append(1)
    assert len(seen) > 2
def test_bad(): assert 1 == 2
def test_skip(): pytest.skip("later")
@pytest.mark.xfail
def test_xfail(): assert 0
@pytest.fixture
def leaky():
    yield
    raise OSError("td")
def test_teardown(leaky): pass
def test_both(leaky): assert 0
def test_sub(subtests):
    for i in range(4):
        with subtests.test(i=i):
            assert i % 2 == 0
@pytest.mark.parametrize("x", ["a/b", "c::d", "[z]"])
def test_p(x): pass
class TestC:
    def test_in_class(self): pass
"""
GREEN = "def test_a(): pass\ndef test_b(): pass\n"


def run_pytest(*args: str, **files: str) -> int:
    for name, text in files.items():
        Path("tests").mkdir(exist_ok=True)
        Path("tests", f"{name}.py").write_text(text)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COV", "AGENTFLOW"))}
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:agentflow",
        "-p",
        "no:asyncio",
        "--rootdir=.",
        *args,
    ]
    return subprocess.run(
        command, env=env, capture_output=True, timeout=120, check=False, stdin=subprocess.DEVNULL
    ).returncode


def statuses(bench: Bench, *args: str) -> dict[str, str]:
    result = bench.run(*args)
    return {t["test"].rpartition("::")[2]: t["status"] for c in result.json["cells"] for t in c["tests"]}


RED = {
    "test_bad": "failed", "test_teardown": "failed", "test_both": "failed", "test_sub": "failed", "test_skip": "skipped, not expected",
}  # fmt: skip


def test_both_flavours_of_pytest_give_the_same_tests_and_verdicts(bench: Bench) -> None:
    code = run_pytest("tests", "--junitxml=two.xml", test_m=SUITE)
    run_pytest("tests", "-o", "junit_family=xunit1", "--junitxml=one.xml")
    assert statuses(bench, "two.xml", f"--pytest-exit={code}") == RED | {"test_flaky": "failed"}
    assert statuses(bench, "one.xml") == RED | {"test_flaky": "failed"}
    assert Bench._main("baseline", "write", "one.xml", "--baseline", "b.json") == 0
    assert bench.run("two.xml", "--baseline", "b.json", "--new-only").code == 0


def test_rerunfailures_hide_attempts_that_the_gate_still_counts(bench: Bench) -> None:
    run_pytest("tests", "--reruns", "3", "--junitxml=r.xml", test_m=SUITE)
    assert statuses(bench, "r.xml") == RED | {"test_flaky": "flaky"}


def test_a_crash_under_xdist_is_one_failing_test(bench: Bench) -> None:
    source = GREEN + "import os\ndef test_dies(): os._exit(3)\n"
    code = run_pytest("tests", "-n", "2", "--junitxml=x.xml", test_m=source)
    result = bench.run("x.xml", f"--pytest-exit={code}")
    assert result.code == 1
    [test] = result.json["cells"][0]["tests"]
    assert (test["test"], test["cause"]) == ("tests.test_m::test_dies", "crash")


def test_a_process_that_died_leaves_no_report_or_a_stale_one(bench: Bench) -> None:
    assert run_pytest("tests", "--junitxml=d.xml", test_m=GREEN) == 0
    code = run_pytest("tests", "--junitxml=d.xml", test_m=GREEN + "import os\ndef test_dies(): os._exit(0)\n")
    assert code == 0, "the process says that all is well"
    from xml.etree import ElementTree

    begun = ElementTree.parse("d.xml").getroot()[0].get("timestamp")
    assert bench.run("d.xml").code == 0, "without knowing when the run began nobody can tell"
    later = begun[:-12] + "9" + begun[-11:] if begun else ""
    assert later
    assert bench.run("d.xml", "--started", "2999-01-01T00:00:00Z").code == 2


def test_a_collection_error_and_an_empty_selection(bench: Bench) -> None:
    code = run_pytest(
        "tests",
        "--junitxml=c.xml",
        "--continue-on-collection-errors",
        test_m=GREEN,
        test_n="import nope_nope\n",
    )
    result = bench.run("c.xml", "--pass-threshold", "10", f"--pytest-exit={code}")
    assert result.code == 1
    assert "collection-error" in result.blocks
    code = run_pytest("tests/test_m.py", "-k", "nothing_at_all", "--junitxml=k.xml")
    assert (code, bench.run("k.xml", f"--pytest-exit={code}").code) == (5, 2)
    code = run_pytest("tests/absent.py", "--junitxml=a.xml")
    assert (code, bench.run("a.xml", f"--pytest-exit={code}").code) == (4, 2)


def test_the_ids_of_collect_only_match_the_report(bench: Bench) -> None:
    run_pytest("tests", "--junitxml=m.xml", test_m=SUITE)
    listed = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--collect-only",
            "-q",
            "-p",
            "no:agentflow",
            "-p",
            "no:asyncio",
            "--rootdir=.",
            "tests",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    Path("ids.txt").write_text(listed.stdout)
    assert not {"lost", "unknown-test"} & bench.run("m.xml", "--collected", "ids.txt").rules
    stopped = run_pytest("tests", "-x", "--junitxml=x.xml")
    result = bench.run(
        "x.xml", "--collected", "ids.txt", "--pass-threshold", "50", f"--pytest-exit={stopped}"
    )
    assert result.code == 2
    assert "lost" in result.rules


@pytest.fixture(scope="session")
def extra(request) -> Path:
    """pytest-retry and unittest-xml-reporting, beside the environment and not in it: both change how pytest or unittest run."""
    target = Path(request.config.cache.mkdir("gate-extra")) / "site"
    if not (target / "xmlrunner").is_dir():
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--disable-pip-version-check",
            "--target",
            str(target),
            "pytest-retry==1.7.0",
            "unittest-xml-reporting==4.0.0",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            pytest.skip(f"the package registry is not reachable: {done.stderr[-100:]}")
    return target


def test_pytest_retry_keeps_only_the_last_attempt_so_only_the_baseline_or_the_session_can_tell(
    bench: Bench, extra: Path, monkeypatch
) -> None:
    source = (
        GREEN
        + "seen = []\ndef test_flaky():\n    seen.append(1)\n    assert len(seen) > 1\ndef test_bad(): assert 0\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(extra))
    run_pytest(
        "tests",
        "--retries",
        "2",
        "-p",
        "no:rerunfailures",
        "-p",
        "no:xdist",
        "--junitxml=r.xml",
        test_m=source,
    )
    assert statuses(bench, "r.xml") == {"test_bad": "failed"}


def test_unittest_xml_reporting(bench: Bench, extra: Path) -> None:
    source = """
import unittest
class T(unittest.TestCase):
    def test_ok(self): pass
    def test_bad(self): self.assertEqual(1, 2)
    @unittest.skip("no")
    def test_skip(self): pass
    @unittest.expectedFailure
    def test_xfail(self): self.fail("known")
    def test_sub(self):
        for i in range(3):
            with self.subTest(i=i): self.assertNotEqual(i, 1)
class Broken(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise OSError("db")
    def test_never(self): pass
"""
    Path("test_u.py").write_text(source)
    env = os.environ | {"PYTHONPATH": f"{extra}{os.pathsep}."}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "xmlrunner", "discover", "-o", "out"],
        env=env,
        capture_output=True,
        timeout=60,
        check=False,
    )
    result = bench.run("out/*.xml", "--pass-threshold", "10", f"--exit={done.returncode}")
    assert result.code == 1
    assert "suite-error" in result.blocks
    assert statuses(bench, "out/*.xml") == {
        "setUpClass (test_u.Broken)": "error outside any test", "test_bad": "failed", "test_sub (i=1)": "failed", "test_skip": "skipped, not expected",
    }  # fmt: skip


NODE = shutil.which("node")
NPM = shutil.which("npm")


@pytest.mark.skipif(NODE is None, reason="node is not on this machine")
def test_node_s_own_reporter(bench: Bench) -> None:
    Path("a.test.mjs").write_text(
        "import {test, describe, it} from 'node:test'; import assert from 'node:assert';\n"
        "test('ok', () => {}); test('bad', () => { assert.equal(1, 2) });\n"
        "describe('group', () => { it('ok', () => {}); it('skipped', {skip: true}, () => {}); it('todo', {todo: true}, () => { assert.ok(0) }) });\n"
    )
    done = subprocess.run(
        [NODE, "--test", "--test-reporter=junit", "a.test.mjs"],
        capture_output=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    Path("node.xml").write_bytes(done.stdout)
    if b"<testsuites" not in done.stdout:
        pytest.skip("this node has no junit reporter")
    result = bench.run("node.xml", f"--exit={done.returncode}")
    assert result.code == 1
    assert statuses(bench, "node.xml") == {"bad": "failed", "skipped": "skipped, not expected"}
    assert bench.run("node.xml").json["cells"][0]["passed"] == 2


@pytest.fixture(scope="session")
def jest(request) -> Path:
    """jest and jest-junit from the npm registry, installed once per checkout."""
    if NODE is None or NPM is None:
        pytest.skip("node and npm are not on this machine")
    folder = Path(request.config.cache.mkdir("gate-jest"))
    if not (folder / "node_modules" / "jest-junit").is_dir():
        (folder / "package.json").write_text('{"name": "x", "version": "1.0.0", "private": true}')
        done = subprocess.run(
            [NPM, "install", "--no-audit", "--no-fund", "--silent", "jest@30", "jest-junit@16"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            pytest.skip(f"the npm registry is not reachable: {done.stderr[-100:]}")
    return folder


@pytest.mark.timeout(400)  # the first run in a checkout installs jest
def test_jest_junit(bench: Bench, jest: Path) -> None:
    tests = jest / "t"
    tests.mkdir(exist_ok=True)
    (tests / "m.test.js").write_text(
        "describe('math', () => { test('adds', () => { expect(3).toBe(3) }); test('is wrong', () => { expect(2).toBe(3) }); test.skip('later', () => {});\n"
        "describe('twice', () => { test('same', () => {}); test('same', () => {}) }) });\n"
    )
    report = bench.folder / "jest.xml"
    env = os.environ | {"JEST_JUNIT_OUTPUT_FILE": str(report), "JEST_JUNIT_ADD_FILE_ATTRIBUTE": "true"}
    done = subprocess.run(
        [NODE, "node_modules/jest/bin/jest.js", "--ci", "-i", "--reporters=jest-junit"],
        cwd=jest,
        env=env,
        capture_output=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert statuses(bench, "jest.xml", f"--exit={done.returncode}") == {
        "math is wrong": "failed",
        "math later": "skipped, not expected",
    }
    assert Bench._main("baseline", "write", "jest.xml", "--baseline", "b.json") == 0
    assert bench.run("jest.xml", "--baseline", "b.json", "--new-only").code == 0
    cells = json.loads(Path("b.json").read_text())["cells"][""]
    assert any(isinstance(v, dict) and v.get("copies") == 2 for v in cells.values())
