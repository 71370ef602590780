"""Stored reports of every producer: recognised, and read as their runners meant them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_agentflow.adapters import oracle_files
from pytest_agentflow.adapters.junit import read_report
from pytest_agentflow.core.gate.standing import State, settle
from pytest_agentflow.errors import AgentflowError

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "junit"
# producer recognised; passed, failed, flaky, skipped, xfailed
EXPECTED = {
    "bun": ("bun", 2, 1, 0, 2, 0),
    "gotestsum": ("gotestsum", 2, 3, 1, 1, 0),
    "gradle": ("gradle", 2, 1, 0, 1, 0),
    "gtest": ("gtest", 2, 2, 0, 2, 0),
    "jest": ("jest", 3, 1, 0, 1, 0),
    "nextest": ("nextest", 3, 3, 1, 0, 0),
    "node": ("node", 2, 2, 0, 1, 1),
    "pytest-collection-error": ("pytest", 0, 1, 0, 0, 0),
    "pytest-rerunfailures": ("pytest", 3, 5, 1, 2, 1),
    "pytest-xdist-crash": ("pytest", 6, 2, 0, 0, 0),
    "pytest-xunit1": ("pytest", 3, 6, 0, 2, 1),
    "pytest-xunit2": ("pytest", 3, 6, 0, 2, 1),
    "surefire": ("surefire", 1, 2, 1, 2, 0),
    "surefire-class-setup": ("surefire", 0, 1, 0, 0, 0),
    "unittest": ("unittest", 1, 4, 0, 1, 1),
    "unittest-class-setup": ("unittest", 0, 1, 0, 0, 0),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_stored_report_is_recognised_and_counted(name: str) -> None:
    report = read_report(FIXTURES / f"{name}.xml")
    states = [s.state for s in settle([report]).values()]
    counts = tuple(
        states.count(s) for s in (State.PASSED, State.FAILED, State.FLAKY, State.SKIPPED, State.XFAILED)
    )
    assert (report.producer, *counts) == EXPECTED[name]
    assert not [p for p in report.problems if p.fatal]


def test_every_stored_report_is_expected() -> None:
    assert {p.stem for p in FIXTURES.glob("*.xml")} == set(EXPECTED)


def test_every_shipped_oracle_loads_and_documents_itself() -> None:
    page = (FIXTURES.parents[1] / "docs" / "reference" / "oracles.md").read_text()
    assert set(oracle_files.shipped()) == {
        "bun",
        "gotestsum",
        "gradle",
        "gtest",
        "jest",
        "nextest",
        "node",
        "pytest",
        "surefire",
        "unittest",
    }
    for name, oracle in oracle_files.shipped().items():
        assert oracle.run
        assert oracle.rerun
        assert oracle.protected
        assert f"`{name}`" in page


@pytest.mark.parametrize(
    ("text", "word"),
    [("version = 2", "version"), ('version = 1\nname = "x"\nzork = 1', "zork"), ('version = 1\nname = "x"', "identity"),
     ('version = 1\nname = "x"\nidentity = ["id"]\nrepeats = "copies"', "identity"), ('version = 1\nname = "x"\nidentity = ["name"]\nrepeats = "often"', "repeats"),
     ('version = 1\nname = "x"\nidentity = ["name"]\nrepeats = "copies"\n[detect]\nroot = "("', "regular expression"), ("= =", "oracle file")],
)  # fmt: skip
def test_a_mistake_in_an_oracle_file_is_named(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(AgentflowError, match=word) as caught:
        oracle_files.find(str(path))
    assert caught.value.exit_code == 3
