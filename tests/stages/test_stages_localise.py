"""From a recorded session to clusters with suspects."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from lean import ADDOPTS, lent

from pytest_agentflow.adapters import coverage_map
from pytest_agentflow.adapters.sessions import RunSpec, run_session
from pytest_agentflow.core.model import Cluster, Failure, Frame, Observation, Outcome, TestResult
from pytest_agentflow.stages.localise import localise

SHOP = """\
def price(n):
    if n > 10:
        return n * 9
    return n * 10


def name(text):
    return text.strip().upper()


def both(n, text):
    return f"{name(text)}: {price(n)}"
"""
TESTS = """\
import pytest
from shop import both, name, price


@pytest.mark.parametrize("n", [1, 5, 9])
def test_small(n): assert price(n) == n * 10


@pytest.mark.parametrize("n", [10, 11, 12])
def test_large(n): assert price(n) == n * 9


@pytest.mark.parametrize("text", ["a", "b"])
def test_name(text): assert name(text) == text


def test_both(): assert both(1, "A") == "A: 10"


def test_ahead(): assert price(1, tax=2) == 12
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cluster, ...]:
    top = tmp_path_factory.mktemp("localise")
    tree = top / "tree"
    tree.mkdir()
    (tree / "shop.py").write_text(SHOP)
    (tree / "test_shop.py").write_text(TESTS)
    spec = lent(
        RunSpec(
            python=sys.executable,
            import_roots=(".",),
            env={"PATH": os.environ["PATH"], "PYTEST_ADDOPTS": ADDOPTS},
        )
    )
    options = {"roots": ["."], "omit": [], "level": "lines", "out": str(top / "out")}
    record = run_session(
        spec,
        tree,
        ids=None,
        scratch=top / "scratch",
        timeout=120,
        plugins={"pytest_agentflow.child.recorder": options},
        extra_args=("-p", "no:asyncio", "--tb=no"),
    )
    ids = tuple(record.results)
    observation = Observation("tree", ids, ids, record.results)
    return localise(observation, coverage_map.read(top / "out", tree), tree, None, observation.failing)


def test_different_bugs_are_different_clusters_even_with_tb_no(found: tuple[Cluster, ...]) -> None:
    assert [set(c.targets) for c in found] == [
        {"test_shop.py::test_large[10]"},
        {"test_shop.py::test_name[a]", "test_shop.py::test_name[b]"},
        {"test_shop.py::test_ahead"},
    ]


def test_the_faulty_unit_is_first_and_the_reason_is_in_words(found: tuple[Cluster, ...]) -> None:
    assert [c.suspects[0].unit.qualname for c in found[:2]] == ["price", "name"]
    assert "called in the statement that failed" in found[1].suspects[0].why


def test_what_the_exception_names_is_the_suspect_of_a_test_that_reached_nothing(
    found: tuple[Cluster, ...],
) -> None:
    assert [(s.unit.qualname, s.lines) for s in found[2].suspects] == [("price", (1,))]


def test_test_code_is_no_suspect(found: tuple[Cluster, ...]) -> None:
    assert {s.unit.path for c in found for s in c.suspects} == {"shop.py"}


def test_a_module_that_cannot_be_collected_is_localised_by_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("def price(n):\n    return n\n\n\nPRICES = [price(n) for n in None]\n")
    frames = (Frame("test_shop.py", 1, "<module>"), Frame("shop.py", 5, "<module>"))
    result = TestResult("test_shop.py", Outcome.ERROR, failure=Failure("collect", "TypeError", "", frames))
    observation = Observation("tree", ("test_shop.py",), ("test_shop.py",), {"test_shop.py": result})
    empty = coverage_map.read(tmp_path / "none", tmp_path)
    clusters = localise(observation, empty, tmp_path, None, ("test_shop.py",))
    assert clusters[0].ranked_lines[0].line == 5
