"""Which weights rank the bugs of the *training* projects best, without leaving their reasoned values far behind?

    python benchmarks/localisation_fit.py DIR...

Coordinate descent over a coarse grid on the mean of log(statement rank) + log(unit rank), with a penalty for every weight that
moves away from its reasoned value. Never run it on the projects that `localisation.py rank` reports.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import localisation_cases

from pytest_agentflow.core.localise import score_statements
from pytest_agentflow.core.weights import Weights

NAMES = [
    "spectrum",
    "sites",
    "kind",
    "deepest",
    "frame",
    "guard",
    "near",
    "frame_unit",
    "called",
    "mentioned",
    "module",
]
GRID = (0.4, 0.7, 1.4, 2.0)
STEPS = {"module": (0.0, -2.0)}  # tried as absolute values
PENALTY = 0.004


def table(directory: Path):
    """Per case: evidence vectors, unit keys, and which statements and units are true."""
    case = localisation_cases.load(directory)
    prepared = localisation_cases.prepare(case)
    scored = score_statements(*prepared)
    true_statements, true_units = localisation_cases.truth(case, prepared[2])
    units: dict[tuple[str, int], int] = {}
    rows = []
    for s in scored:
        key = (s.path, s.statement.unit)
        rows.append(
            (
                [s.evidence.get(n, 0.0) for n in NAMES],
                units.setdefault(key, len(units)),
                (s.path, s.statement.first_line) in true_statements,
            )
        )
    return rows, {units[k] for k in true_units if k in units}


def cost(tables, weights: list[float]) -> float:
    total = 0.0
    for rows, true_units in tables:
        odds = [sum(a * b for a, b in zip(evidence, weights, strict=True)) for evidence, _, _ in rows]
        top = max(odds)
        shares: dict[int, float] = {}
        for value, (_, unit, _) in zip(odds, rows, strict=True):
            shares[unit] = shares.get(unit, 0.0) + math.exp(value - top)
        statement = localisation_cases.expected([(o, t) for o, (_, _, t) in zip(odds, rows, strict=True)])
        function = localisation_cases.expected([(v, k in true_units) for k, v in shares.items()])
        total += math.log(min(statement, 500)) + math.log(min(function, 500))
    return total / len(tables)


def main() -> None:
    directories = sorted(f.parent for d in sys.argv[1:] for f in Path(d).rglob("case.json"))
    tables = [t for t in map(table, directories) if t[0]]
    reasoned = [1.0 if n == "kind" else getattr(Weights(), n) for n in NAMES]
    best, weights = cost(tables, reasoned), list(reasoned)
    print(f"{len(tables)} bugs, start {best:.4f}")
    for _ in range(3):
        before = best
        for n, name in enumerate(NAMES):
            for value in [reasoned[n] * g for g in GRID] + [reasoned[n]] + list(STEPS.get(name, ())):
                tried = [*weights[:n], value, *weights[n + 1 :]]
                moved = sum(
                    abs(math.log((abs(a) + 0.1) / (abs(b) + 0.1)))
                    for a, b in zip(tried, reasoned, strict=True)
                )
                found = cost(tables, tried) + PENALTY * moved
                if found < best - 1e-6:
                    best, weights = found, tried
        if before - best < 1e-4:
            break
    print(f"end {best:.4f}", {n: round(w, 2) for n, w in zip(NAMES, weights, strict=True)})


if __name__ == "__main__":
    main()
