"""Do the intervals of flaky triage hold the true failure rates? Measured on a fixed sample, apart from any detection.

    python benchmarks/triage_calibration.py --seeds 501-512

Every generated test whose rate is known is sampled as triage samples it: a number of plain runs decided before the first.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import flaky_projects

from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.core.flaky import Category, FlakyRecord, Sighting
from pytest_agentflow.core.triage_budget import Budget
from pytest_agentflow.stages.flaky_lab import Lab
from pytest_agentflow.stages.flaky_triage import sample


def measured(seed: int) -> list[tuple[float, FlakyRecord]]:
    """(true rate, record with its interval) of one project's tests."""
    project = flaky_projects.make(seed)
    known = {t: v for t, v in project.truth.items() if v["p"] is not None}
    with tempfile.TemporaryDirectory(prefix="calibration-") as place:
        tree = Path(place) / "project"
        flaky_projects.write(project, tree)
        spec = RunSpec(
            python=sys.executable,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            inifile="pyproject.toml",
        )
        lab = Lab(spec, tree, Path(place) / "out", [], Budget(per_test=1e6), lambda text: None)
        try:
            nothing = Sighting("passed")
            records = [
                FlakyRecord(t, Category(v["category"]), 1.0, "", nothing, nothing) for t, v in known.items()
            ]
            return [(float(known[r.nodeid]["p"]), r) for r in sample(lab, records)]
        finally:
            lab.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", default="501-512")
    options = parser.parse_args()
    first, _, last = options.seeds.partition("-")
    by_rate: dict[float, list[bool]] = defaultdict(list)
    for seed in range(int(first), int(last or first) + 1):
        found = measured(seed)
        for p, record in found:
            by_rate[round(p, 3)].append(record.low <= p <= record.high)
        everything = [held for group in by_rate.values() for held in group]
        print(
            f"after seed {seed}: {sum(everything)} of {len(everything)} intervals hold the true rate ({sum(everything) / len(everything):.1%})",
            flush=True,
        )
    print("| true rate | tests | intervals that hold it |\n|---|---|---|")
    for p, group in sorted(by_rate.items()):
        print(f"| {p:g} | {len(group)} | {sum(group)} |")


if __name__ == "__main__":
    main()
