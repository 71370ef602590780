"""How many forked runs does it take to name polluters, setters and cleaners, at any number of tests?

The search is pure: here the tests are a model that answers at once, so that thousands of searches can be counted.

    python benchmarks/polluters.py --seeds 200
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
from collections.abc import Callable, Sequence

from pytest_agentflow.core.polluters import Search, Seen, cleaner, find, find_from
from pytest_agentflow.stages.flaky_screen import SHUFFLES
from pytest_agentflow.stages.flaky_spread import spread_orders

Model = Callable[[Sequence[str]], bool]


def models(chance: random.Random, tests: list[str]) -> dict[str, tuple[Model, list[set[str]]]]:
    """Does the verdict appear after these tests, and which groups are right?"""
    a, b, c = chance.sample(tests, 3)

    def cleaned(before: Sequence[str]) -> bool:
        dirty = False
        for test in before:
            dirty = True if test == a else False if test == c else dirty
        return dirty

    return {
        "one polluter (or one setter)": (lambda before: a in before, [{a}]),
        "either of two": (lambda before: a in before or b in before, [{a}, {b}]),
        "two needed together": (lambda before: a in before and b in before, [{a, b}]),
        "a cleaner stands between": (cleaned, [{a}]),
    }


def one(n: int, seed: int, kind: str) -> tuple[bool, int, int, bool] | None:
    """(right, runs, test executions, cleaner right) of one search after screening; None where screening saw no flip."""
    chance = random.Random(f"{n} {seed} {kind}")
    tests = [f"t{k}" for k in range(n)]
    model, truth = models(chance, tests)[kind]
    victim = "victim"
    default = chance.sample([*tests, victim], n + 1)
    orders = [tuple(default), *spread_orders(default, chance, SHUFFLES), (victim,)]
    seen = [Seen(o[: o.index(victim)], model(o[: o.index(victim)])) for o in orders]
    if not any(s.shown for s in seen):
        return None
    spent = [0, 0]

    def shows(before: Sequence[str]) -> bool:
        spent[0] += 1
        spent[1] += len(before) + 1
        return model(before)

    found = find(seen, shows)
    runs, steps = spent
    right = found.verified and set(found.groups[0]) in truth
    undone = cleaner(seen, found.groups[0], shows)[0] if found.verified else None
    return right, runs, steps, undone is not None


def bisection(n: int, seed: int) -> Search:
    """From one failing order, with nothing known."""
    chance = random.Random(seed)
    tests = [f"t{k}" for k in range(n)]
    polluter = chance.choice(tests)
    return find_from(tests, lambda before: polluter in before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    options = parser.parse_args()
    print("| tests | case | seen by screening | right | runs median / max | executions of tests, median |")
    print("|---|---|---|---|---|---|")
    for n in (30, 130, 1000, 5000):
        for kind in models(random.Random(0), ["a", "b", "c"]):
            results = [
                one(n, seed, kind) for seed in range(options.seeds if n < 1000 else options.seeds // 5)
            ]
            seen = [r for r in results if r]
            runs = [r[1] for r in seen]
            print(
                f"| {n} | {kind} | {len(seen) / len(results):.1%} | {sum(r[0] for r in seen) / len(seen):.1%} "
                f"| {statistics.median(runs):.0f} / {max(runs)} | {statistics.median(r[2] for r in seen):.0f} |"
            )
    print(
        "\nBisection from one failing order, one polluter:\n\n| tests | runs max | 2 log2 N + 6 |\n|---|---|---|"
    )
    for n in (30, 130, 1000, 5000, 50_000):
        worst = max(bisection(n, seed).runs for seed in range(20))
        print(f"| {n} | {worst} | {2 * math.log2(n) + 6:.1f} |")


if __name__ == "__main__":
    main()
