"""A change that edits the rules by which it is judged: what blocks, and what is welcome."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from gate_helpers import Bench, many

A, B = "tests.test_a::test_0", "tests.test_a::test_1"


def test_n08_a_deleted_baseline_is_an_edit_of_the_rules(bench: Bench) -> None:
    changed = bench.write("changed.txt", "base.json\n")
    result = bench.gate(many(3), "--baseline", "base.json", "--changed-files", changed)
    assert result.code == 1
    assert result.blocks == {"rules-changed"}


def git(folder: Path, *args: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", *identity, *args], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(bench: Bench) -> Bench:
    """A main branch with a baseline, a quarantine, a configuration and a workflow; the work tree is a change on it."""
    bench.baseline(many(5) | {A: "fail"})
    bench.quarantine(B, days=5)
    bench.write(
        "pyproject.toml",
        '[project]\nname = "x"\n[tool.agentflow.gate]\npass-threshold = 99.8\nbaseline = "base.json"\nnew-only = true\n',
    )
    bench.write(
        ".github/workflows/ci.yml",
        "jobs:\n  a:\n    steps:\n      - run: pytest --junitxml=report.xml\n      - run: agentflow gate report.xml\n",
    )
    bench.write(".gitignore", "report.xml\nbase-report.xml\nout.json\n")
    git(bench.folder, "init", "-q", "-b", "main")
    git(bench.folder, "add", "-A")
    git(bench.folder, "commit", "-qm", "base")
    git(bench.folder, "checkout", "-qb", "change")
    return bench


def test_n09_a_change_that_edits_no_rule_is_judged_as_usual(repository: Bench) -> None:
    repository.write("src.py", "x = 1\n")
    assert repository.gate(many(5) | {A: "fail"}, "--base", "main").code == 0


@pytest.mark.parametrize(("value", "code"), [("99.9", 0), ("50", 1)])
def test_n10_lowering_the_threshold_blocks_and_raising_it_does_not(
    repository: Bench, value: str, code: int
) -> None:
    path = repository.folder / "pyproject.toml"
    path.write_text(path.read_text().replace("99.8", value))
    result = repository.gate(many(5) | {A: "fail"}, "--base", "main")
    assert result.code == code
    assert "threshold was" in result.out


def test_n11_an_unrelated_edit_of_pyproject_is_no_edit_of_the_rules(repository: Bench) -> None:
    path = repository.folder / "pyproject.toml"
    path.write_text(path.read_text().replace('name = "x"', 'name = "y"'))
    assert repository.gate(many(5) | {A: "fail"}, "--base", "main").code == 0


def test_n12_a_tightened_baseline_is_welcome_and_a_loosened_one_blocks(repository: Bench) -> None:
    repository.baseline(many(5))
    assert repository.gate(many(5), "--base", "main").code == 0
    repository.baseline(many(5) | {A: "fail", B: "fail"})
    result = repository.gate(many(5) | {A: "fail", B: "fail"}, "--base", "main")
    assert result.code == 1
    assert "loosened" in result.out


def test_n13_a_prolonged_quarantine_blocks_and_a_shortened_one_does_not(repository: Bench) -> None:
    tests = many(5) | {A: "fail"}
    repository.quarantine(B, days=20)
    assert repository.gate(tests, "--base", "main", "--quarantine", "quarantine.toml").code == 1
    repository.quarantine(B, days=3)
    assert repository.gate(tests, "--base", "main", "--quarantine", "quarantine.toml").code == 0


def test_n14_a_workflow_that_calls_the_gate_differently_blocks(repository: Bench) -> None:
    path = repository.folder / ".github/workflows/ci.yml"
    path.write_text(path.read_text() + "      - run: echo unrelated\n")
    tests = many(5) | {A: "fail"}
    assert repository.gate(tests, "--base", "main").code == 0
    path.write_text(
        path.read_text().replace("agentflow gate report.xml", "agentflow gate report.xml || true")
    )
    assert repository.gate(tests, "--base", "main").code == 1
    assert repository.gate(tests, "--base", "main", "--approve", ".github/*").code == 0


def test_n15_an_untracked_or_committed_edit_counts_alike(repository: Bench) -> None:
    repository.quarantine(B, A, days=5)
    git(repository.folder, "commit", "-qam", "hide it")
    assert (
        repository.gate(many(5) | {A: "fail"}, "--base", "main", "--quarantine", "quarantine.toml").code == 1
    )


def test_n16_a_file_cannot_approve_its_own_edits(bench: Bench) -> None:
    bench.write("pyproject.toml", '[tool.agentflow.gate]\napprove = ["*"]\n')
    assert bench.gate(many(3)).code == 3


def test_n60_the_accepted_removals_are_rules_too(repository: Bench) -> None:
    rest = {name: spec for name, spec in (many(5) | {A: "fail"}).items() if name != B}
    repository.write("accepted.txt", f"{B}\n")
    result = repository.gate(rest, "--base", "main", "--accepted", "accepted.txt")
    assert result.code == 1
    assert "accepted removals, 1 added" in result.out


def test_n61_a_body_written_into_the_baseline_does_not_make_a_removal_a_move(repository: Bench) -> None:
    trivial = "def test_easy():\n    value = 1\n    assert value == 1\n"
    repository.write("tests/test_a.py", trivial)
    fresh = "tests.test_a::test_easy"
    repository.write("probe.xml", {fresh: "pass"})
    assert Bench._main("baseline", "write", "probe.xml", "--baseline", "probe.json", "--source", ".") == 0
    body = json.loads(Path("probe.json").read_text())["cells"][""][fresh]["body"]
    path = Path("base.json")
    path.write_text(
        path.read_text().replace(f'"{B}": "passed"', f'"{B}": {{"state": "passed", "body": "{body}"}}')
    )
    rest = {name: spec for name, spec in (many(5) | {A: "fail"}).items() if name != B}
    result = repository.gate(rest | {fresh: "pass"}, "--base", "main")
    assert result.code == 1
    assert result.status(B) == "missing"


def test_n62_a_cell_of_its_own_does_not_take_tests_out_of_the_baseline(repository: Bench) -> None:
    path = Path("base.json")
    table = json.loads(path.read_text())
    table["cells"]["3.12"] = {A: "failed"}
    path.write_text(json.dumps(table))
    result = repository.gate({A: "fail"}, "--base", "main")
    assert result.code == 1
    repository.write("only.xml", {A: "fail"})
    result = repository.run("3.12=only.xml", "--base", "main", "--pass-threshold", "1")
    assert result.code == 1
    assert "loosened" in result.out


def test_n63_a_repaired_test_does_not_hide_that_a_copy_of_it_is_gone_from_the_baseline() -> None:
    from pytest_agentflow.core.gate.baseline import Entry, difference
    from pytest_agentflow.core.gate.standing import State

    [step] = difference({"a": Entry(State.FAILED, copies=2)}, {"a": Entry(State.PASSED, copies=1)})
    assert step.loosens


@pytest.mark.parametrize(
    "line",
    ["          --report-only", "          --flaky allow", "          --max-new-skips 100", "        -k 'not slow'",
     "        continue-on-error: true", "        env: {PYTEST_ADDOPTS: --co}", "          --accept tests/test_a.py::test_1", "      - run: set +e"],
)  # fmt: skip
def test_n64_a_line_of_a_workflow_that_opens_a_door_blocks(repository: Bench, line: str) -> None:
    path = repository.folder / ".github/workflows/ci.yml"
    path.write_text(path.read_text() + line + "\n")
    assert repository.gate(many(5) | {A: "fail"}, "--base", "main").blocks == {"rules-changed"}


@pytest.mark.parametrize(
    ("name", "text"),
    [("pkg/pytest.ini", "[pytest]\naddopts = -k fast\n"), ("tox.ini", "[testenv]\ncommands = pytest -k fast\n"),
     (".coveragerc", "[run]\nomit = *\n"), ("sub/pyproject.toml", "[tool.pytest.ini_options]\naddopts = '-x'\n"),
     ("oracles/mine.toml", "version = 1\n")],
)  # fmt: skip
def test_n65_configuration_of_the_tests_anywhere_is_a_rule(repository: Bench, name: str, text: str) -> None:
    repository.write(name, text)
    assert repository.gate(many(5) | {A: "fail"}, "--base", "main").blocks == {"rules-changed"}


def test_n74_a_new_project_without_tests_settings_is_no_rule(repository: Bench) -> None:
    repository.write("sub/pyproject.toml", "[project]\nname = 'y'\n[tool.ruff]\nline-length = 100\n")
    repository.write("sub/setup.cfg", "[metadata]\nname = y\n")
    assert repository.gate(many(5) | {A: "fail"}, "--base", "main").code == 0


def test_n66_a_configuration_file_of_another_name_is_a_rule_too(repository: Bench) -> None:
    repository.write("gate.toml", '[tool.agentflow.gate]\nflaky = "allow"\n')
    result = repository.gate(many(5), "--base", "main", "--config", "gate.toml")
    assert result.blocks == {"rules-changed"}
