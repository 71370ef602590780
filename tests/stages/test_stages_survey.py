"""From edits tried on failing tests to better ranks and clusters: real sessions, real forks."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from lean import ADDOPTS, lent, plain

from pytest_agentflow.adapters import coverage_map
from pytest_agentflow.adapters.coverage_map import CoverageMap
from pytest_agentflow.adapters.sessions import run_session
from pytest_agentflow.core.model import Observation
from pytest_agentflow.core.scope import ScopePolicy
from pytest_agentflow.stages.localise import localise
from pytest_agentflow.stages.survey import Ground

CODE = """\
def clamp(x, low, high):
    x = max(x, low)
    x = max(x, high)
    return x


class Base:
    def total(self, xs):
        found = 0
        for x in xs:
            found -= x
        return found


class Filtered(Base):
    def run(self, xs):
        kept = []
        for x in xs:
            if x:
                kept.append(x)
        return self.total(kept)


class Doubled(Base):
    def run(self, xs):
        twice = [x + x for x in xs]
        return self.total(twice)


class Length:
    def __init__(self, metres):
        self.metres = -metres

    def shifted(self, by):
        new = Length(by)
        new.metres = self.metres + by
        return new

    def longer(self, other):
        return self.metres > other
"""
TESTS = """\
import pytest
from shop import Base, Doubled, Filtered, Length, clamp


@pytest.mark.parametrize("x", [1, 9, -1, 3])
def test_clamp(x): assert clamp(x, 0, 3) == min(3, max(0, x))


def test_filtered(): assert Filtered().run([1, 0, 2]) == 3


def test_doubled(): assert Doubled().run([1, 0, 2]) == 6


@pytest.mark.parametrize("n", range(1, 9))
def test_nothing(n): assert Base().total([0] * n) == 0


@pytest.mark.parametrize("length", [Length(1), Length(2)])
def test_longer(length): assert length.longer(0)


@pytest.mark.parametrize("length", [Length(1), Length(2)])
def test_shifted(length): assert length.shifted(5).metres > 5
"""
LOOP = "test_shop.py::test_filtered", "test_shop.py::test_doubled"
SEEN = tuple[Path, Observation, CoverageMap, Ground]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> SEEN:
    top = tmp_path_factory.mktemp("survey")
    tree, scratch = top / "tree", top / "warm"
    tree.mkdir()
    scratch.mkdir()
    (tree / "shop.py").write_text(CODE)
    (tree / "test_shop.py").write_text(TESTS)
    spec = lent(plain(env={"PATH": "/usr/bin:/bin", "PYTEST_ADDOPTS": ADDOPTS}))
    options = {"roots": ["."], "omit": [], "level": "lines", "out": str(top / "out")}
    recorder = {"pytest_agentflow.child.recorder": options}
    record = run_session(spec, tree, ids=None, scratch=top / "scratch", timeout=120, plugins=recorder)
    ids = tuple(record.results)
    ground = Ground(spec, tree, scratch, ScopePolicy(), holdout=0.25, seconds=120.0)
    observation = Observation("tree", ids, ids, record.results)
    return tree, observation, coverage_map.read(top / "out", tree), ground


def test_the_statement_whose_edit_heals_the_failing_tests_comes_first(seen: SEEN) -> None:
    tree, observation, coverage, ground = seen
    targets = tuple(t for t in observation.failing if "clamp" in t)
    (before,) = localise(observation, coverage, tree, None, targets)
    (after,) = localise(observation, coverage, tree, None, targets, ground=ground)
    assert (before.ranked_lines[0].line, after.ranked_lines[0].line) == (4, 3)
    assert "an edit here turned failing tests green" in after.suspects[0].why
    assert len(targets) == 3
    assert len(after.asked) == 2, "a quarter of the targets can still be held out"


def test_failures_of_different_ways_into_one_fault_become_one_unit(seen: SEEN) -> None:
    tree, observation, coverage, ground = seen
    apart = localise(observation, coverage, tree, None, LOOP)
    assert [c.targets for c in apart] == [LOOP[:1], LOOP[1:]]
    (whole,) = localise(observation, coverage, tree, None, LOOP, ground=ground)
    assert whole.suspects[0].unit.qualname == "Base.total"
    assert whole.asked == LOOP


def test_a_fault_that_ran_while_the_tests_were_collected_is_found_by_importing_anew(seen: SEEN) -> None:
    tree, observation, coverage, ground = seen
    targets = tuple(t for t in observation.failing if "[length" in t)
    assert len(targets) == 4
    apart = localise(observation, coverage, tree, None, targets)
    assert len(apart) == 2, "what made their parameters is in no test's own coverage"
    (whole,) = localise(observation, coverage, tree, None, targets, ground=ground)
    assert whole.suspects[0].unit.qualname == "Length.__init__"


def test_what_may_not_be_edited_is_not_tried(seen: SEEN) -> None:
    tree, observation, coverage, ground = seen
    closed = Ground(ground.spec, tree, ground.scratch, ScopePolicy(("src/**",)), seconds=120.0)
    (found,) = localise(observation, coverage, tree, None, LOOP[:1], ground=closed)
    assert not any("an edit here" in s.why for s in found.suspects)


def test_slow_tests_and_modules_that_were_not_collected_are_not_asked(seen: SEEN) -> None:
    tree, observation, coverage, ground = seen
    slow = {t: replace(r, duration=5.0) for t, r in observation.results.items()}
    (found,) = localise(replace(observation, results=slow), coverage, tree, None, LOOP[:1], ground=ground)
    assert found.asked == ()


def test_where_the_session_cannot_be_forked_nobody_is_asked(seen: SEEN, tmp_path: Path) -> None:
    tree, observation, coverage, ground = seen
    threaded, scratch = tmp_path / "tree", tmp_path / "warm"
    shutil.copytree(tree, threaded)
    scratch.mkdir()
    waits = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    (threaded / "conftest.py").write_text(waits)
    there = replace(ground, tree=threaded, scratch=scratch)
    (found,) = localise(observation, coverage, threaded, None, LOOP[:1], ground=there)
    assert found.asked == ()
