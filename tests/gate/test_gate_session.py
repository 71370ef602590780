"""`pytest --pass-threshold` in ordinary sessions, really run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
from lean import ADDOPTS

TWO_OF_FOUR = "def test_a(): pass\ndef test_b(): pass\ndef test_c(): assert 0\ndef test_d(): assert 0\n"


@pytest.fixture
def session(tmp_path: Path):
    def run(
        source: str,
        *args: str,
        quiet: bool = True,
        more: dict[str, str] | None = None,
        module: str = "pytest",
        **files: str,
    ) -> tuple[int, str]:
        (tmp_path / "test_m.py").write_text(source)
        for name, text in files.items():
            (tmp_path / name.replace("__", ".")).write_text(text)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COV", "AGENTFLOW"))}
        env |= {"PYTEST_ADDOPTS": ADDOPTS, **(more or {})}
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            module,
            *(["-q"] if quiet else []),
            "-p",
            "no:cacheprovider",
            "-p",
            "no:asyncio",
            "--rootdir=.",
            *args,
        ]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_the_rate_decides_over_the_exit_code(session) -> None:
    assert session(TWO_OF_FOUR, "--pass-threshold", "50")[0] == 0
    code, out = session(TWO_OF_FOUR, "--pass-threshold", "50.1")
    assert code == 1
    assert "gate: blocked: 50.00 % is below 50.10 %" in out


def test_under_xdist_the_same_and_a_lost_result_is_noticed(session) -> None:
    assert session(TWO_OF_FOUR, "-n", "2", "--pass-threshold", "50")[0] == 0
    lossy = "import pathlib\ndef test_a(): pass\ndef test_b(record_property):\n    record_property('p', pathlib.Path('x'))\n    assert 0\n"
    code, out = session(lossy, "-n", "2", "--pass-threshold", "10")
    assert code == 2
    assert "tests have no whole result, first test_m.py::test_b" in out


def test_a_crash_under_xdist_is_a_failing_test_and_no_gap(session) -> None:
    source = TWO_OF_FOUR + "import os\ndef test_dies(): os._exit(1)\n"
    assert session(source, "-n", "2", "--pass-threshold", "40")[0] == 0


def test_reruns_do_not_raise_the_rate(session) -> None:
    flaky = "n = []\ndef test_a(): pass\ndef test_b():\n    n.append(1)\n    assert len(n) > 1\n"
    assert session(flaky, "--reruns", "3", "--pass-threshold", "100")[0] == 1
    assert session(flaky, "--reruns", "3", "--pass-threshold", "100", "--gate-flaky", "allow")[0] == 0


def test_no_rate_without_tests_or_after_a_stop(session) -> None:
    assert session(TWO_OF_FOUR, "-k", "nothing", "--pass-threshold", "1")[0] == 2
    assert session(TWO_OF_FOUR, "-x", "--pass-threshold", "10")[0] == 2
    code, out = session("import nope_nope\n", "--pass-threshold", "10")
    assert code == 1
    assert "it hides an unknown number of tests; ModuleNotFoundError: No module named 'nope_nope'" in out


def test_a_bad_threshold_is_a_usage_error(session) -> None:
    assert session(TWO_OF_FOUR, "--pass-threshold", "200")[0] == 4
    assert session(TWO_OF_FOUR, "--pass-threshold", "50", "--quarantine", "absent.toml")[0] == 4


def test_a_quarantine_excuses_with_or_without_a_threshold(session, tmp_path: Path) -> None:
    day = date.today() + timedelta(days=5)
    entry = "[[quarantine]]\ntest = 'test_m.py::{}'\nowner = '@me'\nreason = 'race'\nexpires = {}\n"
    text = "version = 1\n" + entry.format("test_c", day) + entry.format("test_d", day)
    assert session(TWO_OF_FOUR, "--quarantine", "q.toml", q__toml=text)[0] == 0
    code, out = session(
        TWO_OF_FOUR, "--quarantine", "q.toml", "--pass-threshold", "100", "--gate-json", "o.json"
    )
    assert code == 0
    assert "2 quarantined tests failed" in out
    assert json.loads((tmp_path / "o.json").read_text())["cells"][0]["rate"]["percent"] == "50.00"


def test_a_baseline_written_from_junit_fits_the_session(session, tmp_path: Path) -> None:
    session(TWO_OF_FOUR, "--junitxml=r.xml")
    command = [
        sys.executable,
        "-m",
        "pytest_agentflow.cli",
        "baseline",
        "write",
        "r.xml",
        "--baseline",
        "b.json",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    args = ("--pass-threshold", "100", "--gate-baseline", "b.json", "--gate-new-only")
    assert session(TWO_OF_FOUR, *args)[0] == 0
    assert session(TWO_OF_FOUR.replace("def test_b(): pass", "def test_b(): assert 0"), *args)[0] == 1
    code, out = session(TWO_OF_FOUR.replace("def test_d(): assert 0\n", ""), *args)
    assert code == 1
    assert "missing  test_m::test_d" in out


def test_a_failure_that_another_plugin_asks_for_stays_a_failure(session) -> None:
    conftest = (
        "def pytest_sessionfinish(session):\n    session.testsfailed += 1\n    session.exitstatus = 1\n"
    )
    assert session("def test_a(): pass\n", "--pass-threshold", "50", conftest__py=conftest)[0] == 1


@pytest.mark.parametrize("how", ["os._exit(0)", "pytest.exit('bye', returncode=0)"])
def test_a_session_that_ends_itself_with_0_is_not_green(session, how: str) -> None:
    source = f"import os, pytest\ndef test_a(): pass\ndef test_ends(): {how}\ndef test_bad(): assert 0\n"
    code, out = session(source, "--pass-threshold", "10")
    assert code == 2
    assert "gate: cannot judge: " in out


@pytest.mark.parametrize("instead", ["--collect-only", "--markers", "--setup-plan"])
def test_a_session_that_runs_no_test_is_not_green(session, instead: str) -> None:
    assert session("def test_a(): pass\n", instead, "--pass-threshold", "10")[0] == 2


def test_a_forked_child_may_end_as_it_likes(session) -> None:
    source = "import os\ndef test_a():\n    child = os.fork()\n    if not child: os._exit(0)\n    assert os.waitpid(child, 0)[1] == 0\n"
    assert session(source, "--pass-threshold", "100")[0] == 0


def test_without_a_terminal_reporter_the_verdict_goes_to_the_error_stream(session) -> None:
    code, out = session(TWO_OF_FOUR, "-o", "addopts=-p no:terminal", "--pass-threshold", "60", quiet=False)
    assert code == 1
    assert "gate: blocked: 50.00 % is below 60.00 %" in out


def test_tests_sent_to_each_worker_must_pass_in_all_of_them(session) -> None:
    both = ("--dist", "each", "--tx", "2*popen", "--pass-threshold", "100")
    assert (
        session("def test_a(): pass\n@__import__('pytest').mark.xfail\ndef test_b(): assert 0\n", *both)[0]
        == 0
    )
    one = "import os\ndef test_a(): pass\ndef test_b(): assert os.environ['PYTEST_XDIST_WORKER'] == 'gw0'\n"
    code, out = session(one, *both)
    assert code == 1
    assert "flaky  test_m::test_b" in out


def test_expected_failures_subtests_and_deselected_tests(session) -> None:
    source = """
import pytest
def test_ok(): pass
@pytest.mark.xfail(strict=True)
def test_strict(): pass
@pytest.mark.xfail
def test_unexpected(): pass
@pytest.mark.xfail
def test_expected(): assert 0
def test_sub(subtests):
    for i in range(3):
        with subtests.test(i=i): assert i != 1
def test_sub_ok(subtests):
    for i in range(3):
        with subtests.test(i=i): pass
"""
    code, out = session(source, "--pass-threshold", "61")
    assert code == 1
    assert "60.00 % is below 61.00 %: 2 of 5 expected tests did not pass" in out
    code, out = session(source, "--pass-threshold", "100", "-k", "ok")
    assert code == 0
    assert "4 tests deselected" in out


def test_a_threshold_in_addopts_gates_every_session_and_workers_do_not_mind(session) -> None:
    ini = '[tool.pytest.ini_options]\naddopts = "--pass-threshold 60"\n'
    assert session(TWO_OF_FOUR, "-n", "2", pyproject__toml=ini)[0] == 1
    assert session(TWO_OF_FOUR, "--pass-threshold", "50")[0] == 0


@pytest.mark.parametrize("value", ["99,8", "0.998"])
def test_a_threshold_that_is_mistyped_is_a_usage_error(session, value: str) -> None:
    assert session("def test_a(): pass\n", f"--pass-threshold={value}")[0] == 4


def test_a_child_session_of_the_loop_is_not_gated_by_addopts_and_a_conftest_cannot_pose_as_one(
    session,
) -> None:
    ini = '[tool.pytest.ini_options]\naddopts = "--pass-threshold 100"\n'
    collect = ("def test_a(): pass\n", "--collect-only")
    assert session(*collect, module="pytest_agentflow.child.start", pyproject__toml=ini)[0] == 0
    assert session(*collect, more={"AGENTFLOW_CHANNEL": "9"})[0] == 2
    blind = "from pytest_agentflow.child import session\nsession.open_channel()\n"
    assert session(*collect, conftest__py=blind)[0] == 2
