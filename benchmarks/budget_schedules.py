"""How far does a cap of one dollar overshoot with 16 lanes? `python benchmarks/budget_schedules.py [SCHEDULES]`.

Ours: the reservation ledger, with the controller killed and resumed up to three times per schedule. Beside it the rule that
is common elsewhere (mini-swe-agent's `cost_limit`, Claude Code's `--max-budget-usd`): look at what was spent, then call.
The rule is our reading of their documentation, run on the same schedules; their programs are not run here.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pytest_agentflow.core.budget import NANO, Cap, Caps, Ledger, Reservation
from pytest_agentflow.core.model import Spend

LANES, CALLS, STEPS, CAP = 16, 8, 500, 1.0


@dataclass
class Outcome:
    """What one schedule came to, in dollars as the provider billed them."""

    billed: float = 0.0
    twice: int = 0
    calls: dict[str, int] = field(default_factory=dict)

    def bill(self, key: str, usd: float) -> None:
        self.billed += usd
        self.calls[key] = self.calls.get(key, 0) + 1
        self.twice += self.calls[key] > 1


def worst(chance: random.Random) -> float:
    """The worst case of one call: mostly small, sometimes a long answer on a full context."""
    return chance.uniform(0.005, 0.06) if chance.random() < 0.8 else chance.uniform(0.06, 0.4)


def ours(seed: int) -> Outcome:
    chance, out = random.Random(seed), Outcome()
    book = Ledger(Caps(run=Cap(usd=CAP)))
    kills = set(chance.sample(range(20, 400), seed % 4))
    done: set[str] = set()
    todo = {lane: [f"{lane}/{n}" for n in range(CALLS)] for lane in range(LANES)}
    flight: dict[int, tuple[str, Reservation]] = {}
    for lane in todo:
        book.begin(f"a{lane}", f"c{lane % 5}")
    for step in range(STEPS):
        if step in kills:
            flight.clear()
            book = Ledger.restore(book.caps, json.loads(json.dumps(book.entries)))
        lane = chance.randrange(LANES)
        if lane in flight:
            key, held = flight.pop(lane)
            usd = held.nano / NANO * chance.random()
            out.bill(key, usd)
            done.add(key)
            book.settle(held.id, Spend(usd=usd, calls=1))
        else:
            while todo[lane] and todo[lane][0] in done:
                todo[lane].pop(0)
            if todo[lane]:
                got = book.reserve(f"a{lane}", tokens=0, usd=worst(chance))
                if isinstance(got, Reservation):
                    flight[lane] = (todo[lane][0], got)
    return out


def look_then_call(seed: int) -> Outcome:
    """Spent so far below the cap: go ahead."""
    chance, out = random.Random(seed), Outcome()
    left = dict.fromkeys(range(LANES), CALLS)
    flight: dict[int, float] = {}
    for _ in range(STEPS):
        lane = chance.randrange(LANES)
        if lane in flight:
            out.bill(f"{lane}/{left[lane]}", flight.pop(lane) * chance.random())
            left[lane] -= 1
        elif left[lane] and out.billed < CAP:
            flight[lane] = worst(chance)
    for usd in flight.values():  # what is in flight is billed
        out.billed += usd * chance.random()
    return out


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    print(f"{count:,} schedules, {LANES} lanes, cap ${CAP:g}")
    print(
        f"{'rule':24} {'over the cap':>14} {'median $':>9} {'max $':>7} {'paid twice':>11} {'ms/schedule':>12}"
    )
    failed = False
    for name, rule in (("reserve, then settle", ours), ("look, then call", look_then_call)):
        started = time.perf_counter()
        outcomes = [rule(seed) for seed in range(count)]
        took = (time.perf_counter() - started) / count * 1000
        over = sum(o.billed > CAP + 1e-9 for o in outcomes)
        billed = [o.billed for o in outcomes]
        twice = sum(o.twice for o in outcomes)
        failed |= rule is ours and bool(over or twice)
        print(
            f"{name:24} {over:>14,} {statistics.median(billed):>9.3f} {max(billed):>7.3f} {twice:>11,} {took:>12.2f}"
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
