"""A fix of a flaky target is believed after as many green runs as its rate asks, and where it used to fail."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from oracle_cases import Case, case  # noqa: E402

from pytest_agentflow.core.conditions import Conditions  # noqa: E402
from pytest_agentflow.core.evidence import Evidence  # noqa: E402
from pytest_agentflow.core.flaky import Category, FlakyRecord, Sighting  # noqa: E402
from pytest_agentflow.core.model import VerdictKind  # noqa: E402
from pytest_agentflow.core.verdict import judge  # noqa: E402
from pytest_agentflow.stages import flaky_targets  # noqa: E402
from pytest_agentflow.stages.verify import gather  # noqa: E402

TEST = "test_dice.py::test_roll"
FILES = {
    "dice.py": "import random\n\n\ndef roll():\n    return random.randrange(20)\n",
    "test_dice.py": "import dice\n\n\ndef test_roll():\n    assert 1 <= dice.roll() <= 20\n\n\ndef test_name():\n    assert dice.__name__ == 'dice'\n",
}
OTHER_LAYERS = frozenset(["sentinels", "twins", "bare call", "further oracles", "strength", "held-out"])


def failing_seed() -> int:
    return next(seed for seed in range(999) if random.Random(seed).randrange(20) == 0)


def known() -> FlakyRecord:
    red = Sighting("failed", (TEST,), Conditions(seed=failing_seed()))
    return FlakyRecord(
        TEST,
        Category.RNG_UNSEEDED,
        0.95,
        "the seed decides",
        Sighting("passed", (TEST,)),
        red,
        runs=20,
        failures=1,
    )


@pytest.fixture(scope="module")
def dice() -> Iterator[Case]:
    with case(FILES) as made:
        yield made


def evidence(dice: Case, body: str) -> Evidence:
    patch = dice.patch({"dice.py": f"import random\n\n\ndef roll():\n    {body}\n"})
    context = dice.context(flaky=(known(),), layers_off=OTHER_LAYERS)
    return gather(dice.attempt(targets=[TEST]), patch, context)


def test_a_fix_is_accepted_after_59_green_runs_of_a_test_that_failed_once_in_20(dice: Case) -> None:
    found = evidence(dice, "return random.randrange(20) + 1")
    facts = found.facts("reruns")
    assert facts is not None
    assert facts.facts["flaky"][TEST] == {
        "rate": [1, 20],
        "passed": 59,
        "red": 0,
        "again": ["passed", "passed"],
    }
    verdict = judge(found)
    assert verdict.kind.accepted, verdict
    assert any("59 green runs and its reproducer" in f.reason for f in verdict.findings)


def test_a_fix_that_still_fails_under_the_known_seed_is_refused(dice: Case) -> None:
    verdict = judge(evidence(dice, "first = random.randrange(20)\n    return first"))
    assert verdict.kind in (VerdictKind.FLAKY, VerdictKind.UNFIXED), verdict


def test_what_is_known_of_flaky_targets_survives_rounds_and_reaches_the_agent(tmp_path: Path) -> None:
    assert flaky_targets.load(tmp_path) == ()
    flaky_targets.save(tmp_path, [known()])
    flaky_targets.save(tmp_path, [])
    assert flaky_targets.load(tmp_path) == (known(),)
    assert "the seed decides" in flaky_targets.told([known()])
