"""Bad input and accidents: a clear message of one or two lines, and nothing is lost."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

GREEN = "def test_ok():\n    assert True\n"


def no_traceback(done) -> None:
    assert "Traceback" not in done.out and "INTERNALERROR" not in done.out, done


def test_outside_a_git_repository(empty, tmp_path: Path) -> None:
    lonely = tmp_path / "plain"
    lonely.mkdir()
    (lonely / "test_a.py").write_text(GREEN)
    empty.top = lonely
    done = empty.pytest("--agent-fix")
    assert done.code == 4 and "git" in done.out.lower()
    assert not (lonely / ".agentflow").exists()
    no_traceback(done)


def test_a_repository_without_commits(empty) -> None:
    empty.write("test_a.py", GREEN)
    done = empty.pytest("--agent-fix")
    assert done.code == 4 and "commit" in done.out
    no_traceback(done)


def test_nothing_collected(empty) -> None:
    empty.write("readme.txt", "nothing\n")
    empty.commit()
    done = empty.pytest("--agent-fix")
    assert done.code == 5, done
    no_traceback(done)


def test_a_project_that_is_not_on_the_path(empty) -> None:
    empty.write("src/shop/__init__.py", "def total(xs):\n    return sum(xs)\n")
    empty.write("tests/test_shop.py", "import shop\n\n\ndef test_total():\n    assert shop.total([1]) == 1\n")
    empty.commit()
    done = empty.pytest("--agent-fix")
    assert done.code == 4 and "cannot import `shop`" in done.out and "pythonpath = src" in done.out, done
    no_traceback(done)


def test_a_path_outside_the_repository(calc, tmp_path: Path) -> None:
    (tmp_path / "test_elsewhere.py").write_text(GREEN)
    done = calc.pytest("--agent-fix", str(tmp_path / "test_elsewhere.py"))
    assert done.code == 4 and "outside the repository" in done.out
    no_traceback(done)


def test_a_bad_option_value_and_an_unknown_configuration_key(calc) -> None:
    assert "no duration" in calc.pytest("--agent-fix", "--agent-deadline", "soon").out
    text = (calc.top / "pyproject.toml").read_text()
    (calc.top / "pyproject.toml").write_text(text + "\n[tool.agentflow]\nretires = 3\n")
    done = calc.pytest("--agent-fix")
    assert done.code == 4 and "retries" in done.out
    no_traceback(done)


def test_a_module_that_cannot_be_collected_is_a_target(calc) -> None:
    calc.write(
        "calc.py",
        "def plus(a, b):\n    return a + b\n\n\ndef double(a):\n    return a + a\n\n\ndef half(a):\n    return a / 2\n",
    )
    calc.configure(
        rename={
            "rules": [
                {
                    "target": "test_calc.py",
                    "edits": [{"path": "calc.py", "old": "def plus", "new": "def add"}],
                }
            ]
        }
    )
    calc.commit("renamed")
    done = calc.pytest("--agent-fix", "--agent", "rename")
    assert done.code == 0, done
    assert "def add" in (calc.top / "calc.py").read_text()


def test_only_flaky_failures_send_no_agent(calc) -> None:
    calc.write(
        "calc.py",
        "def add(a, b):\n    return a + b\n\n\ndef double(a):\n    return a + a\n\n\ndef half(a):\n    return a / 2\n",
    )
    calc.write(
        "test_coin.py", "import os\n\n\ndef test_coin():\n    assert os.getpid() % 2 or hash('x') % 2\n"
    )
    calc.write(
        "test_coin.py",
        "import pathlib, tempfile\n\n\ndef test_first_time_only():\n"
        "    mark = pathlib.Path(__file__).with_name('mark')\n    seen = mark.exists()\n    mark.touch()\n    assert seen\n",
    )
    calc.commit("coin")
    done = calc.pytest("--agent-fix", "--agent", "honest")
    assert done.code == 1, done
    assert "flaky" in done.out
    assert not any(e["event"] == "dispatched" for e in calc.journal())


def test_a_test_that_hangs_and_one_that_kills_the_process_do_not_stop_the_rest(calc) -> None:
    calc.write(
        "test_bad.py",
        "import os, time\n\n\ndef test_hangs():\n    time.sleep(600)\n\n\ndef test_dies():\n    os._exit(3)\n",
    )
    calc.commit("bad")
    done = calc.pytest(
        "--agent-fix",
        "--agent",
        "honest",
        "--agent-test-timeout",
        "3s",
        "--agent-triage-runs",
        "1",
        "test_calc.py",
        timeout=300,
    )
    assert done.code == 0, done
    counts = next(e for e in calc.journal() if e["event"] == "observed")["data"]["counts"]
    assert counts["timeout"] == 1 and counts["crashed"] == 1
    assert "return a + b\n" in (calc.top / "calc.py").read_text()


def test_a_suite_that_prints_megabytes(calc) -> None:
    calc.write(
        "test_loud.py",
        "import sys\n\n\ndef test_loud():\n    for _ in range(300):\n        sys.__stdout__.write('x' * 10000 + '\\n')\n",
    )
    calc.commit("loud")
    done = calc.pytest("--agent-fix", "--agent", "honest")
    assert done.code == 0, done


@pytest.mark.slow
@pytest.mark.parametrize(
    "ini",
    [
        'addopts = "-n 2"',
        'addopts = "-p no:xdist"',
        'addopts = "-x --maxfail=1"',
        'addopts = "-p no:cacheprovider --strict-markers"\nfilterwarnings = ["error"]',
        'addopts = "--cov=calc --cov-fail-under=100"\ntimeout = 60',
        'addopts = "--reruns 2"',
    ],
)
def test_whatever_the_project_configures_two_bugs_are_fixed(calc, ini: str) -> None:
    text = (
        (calc.top / "pyproject.toml").read_text().replace('pythonpath = ["."]', f'pythonpath = ["."]\n{ini}')
    )
    (calc.top / "pyproject.toml").write_text(text)
    calc.commit("configured")
    done = calc.pytest("--agent-fix", "--agent", "honest", "--agent-triage-runs", "1")
    assert done.code == 0, done
    assert "return a + b\n" in (calc.top / "calc.py").read_text()


def test_an_ini_file_above_the_repository(calc) -> None:
    (calc.top.parent / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
    (calc.top / "pyproject.toml").write_text(
        (calc.top / "pyproject.toml")
        .read_text()
        .replace('[tool.pytest.ini_options]\npythonpath = ["."]\n', "")
    )
    calc.commit("no ini here")
    done = calc.pytest("--agent-fix", "--agent", "honest", "--agent-triage-runs", "1")
    assert done.code == 0, done
    assert {
        i.partition("::")[0]
        for i in next(e for e in calc.journal() if e["event"] == "triaged")["data"]["targets"]
    } == {"test_calc.py"}


def test_a_project_in_a_subdirectory_of_the_repository(calc) -> None:
    calc.git("mv", "-k", "calc.py", "test_calc.py", "pyproject.toml", ".")
    inner = calc.top / "services" / "calc"
    inner.mkdir(parents=True)
    for name in ("calc.py", "test_calc.py", "pyproject.toml"):
        (calc.top / name).rename(inner / name)
    calc.commit("moved")
    done = calc.pytest("--agent-fix", "--agent", "honest", cwd="services/calc")
    # The scripted plan names other paths, so it has no rule: the run ends cleanly, with ids relative to the top level.
    assert done.code == 1, done
    observed = (inner / ".agentflow" / "runs").iterdir()
    assert "services/calc/test_calc.py::test_add" in (next(observed) / "journal.jsonl").read_text()


def test_two_runs_at_once_are_refused(calc) -> None:
    calc.configure(slow={"rules": [{"target": "*", "sleep": 8}]})
    calc.commit("slow")
    first = subprocess.Popen(
        calc.command("--agent-fix", "--agent", "slow", "--agent-retries", "1"),
        cwd=calc.top,
        stdout=subprocess.PIPE,
        text=True,
        env=calc.environment(),
    )
    assert first.stdout is not None and first.stdout.readline()
    second = calc.pytest("--agent-fix", "--agent", "honest")
    first.communicate(timeout=120)
    assert second.code == 4 and "Another run" in second.out
    no_traceback(second)


def test_a_deadline_ends_the_run_with_its_name(calc) -> None:
    calc.configure(slow={"rules": [{"target": "*", "sleep": 120}]})
    calc.commit("slow")
    done = calc.pytest(
        "--agent-fix", "--agent", "slow", "--agent-deadline", "20s", "--agent-triage-runs", "1"
    )
    assert done.code == 1, done
    assert "deadline" in done.out


def test_a_paid_agent_without_a_cap_or_a_terminal_is_refused(calc) -> None:
    done = calc.pytest("--agent-fix", "--agent", "anthropic")
    assert done.code == 4, done
    assert "--agent-budget" in done.out
    no_traceback(done)


def test_a_selection_that_pytest_cannot_read_is_an_error_and_not_a_green_suite(calc) -> None:
    done = calc.pytest("--agent-fix", "-k", "test_a[ b")
    assert done.code == 4, done
    assert "Wrong expression passed to '-k'" in done.out


def test_a_session_that_ends_before_its_tests_is_not_green(calc) -> None:
    calc.write(
        "conftest.py", "import pytest\n\ndef pytest_runtest_setup(item):\n    pytest.exit('enough', 0)\n"
    )
    calc.commit()
    done = calc.pytest("--agent-fix")
    assert done.code == 1, done
    assert "gave no result" in done.out


def test_warnings_about_files_that_are_only_read_stay_out_of_the_terminal(calc) -> None:
    """pytest shows them for what it imports; 3.12 and later would say them aloud for every file that is parsed."""
    calc.write("test_calc.py", (calc.top / "test_calc.py").read_text() + '\n\nPATTERN = "\\/"\n')
    calc.commit("an escape that is none")
    done = calc.pytest("--agent-fix", "--agent", "honest")
    assert done.code == 0, done
    assert "SyntaxWarning" not in done.out
