"""How well does flaky triage do on the project in `fixtures/flaky_by_hand`: written by hand, in many styles, no generator's idioms?

python benchmarks/flaky_by_hand.py [--budget 40x]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.core.flaky_report import TriageReport
from pytest_agentflow.core.triage_budget import parse_budget
from pytest_agentflow.stages.flaky_triage import run_triage

HERE = Path(__file__).resolve().parent.parent / "fixtures" / "flaky_by_hand"


def triage(budget: str) -> TriageReport:
    """Triage a copy of the project."""
    with tempfile.TemporaryDirectory(prefix="by-hand-") as place:
        tree = Path(place) / "project"
        shutil.copytree(HERE, tree, ignore=shutil.ignore_patterns("__pycache__", "truth.json"))
        env = {k: os.environ[k] for k in ("PATH", "PYTHONPATH") if k in os.environ} | {"LANG": "C.UTF-8"}
        spec = RunSpec(python=sys.executable, env=env, inifile="pyproject.toml")
        return run_triage(spec, tree, [], parse_budget(budget), Path(place) / "out", lambda text: None)


def score(report: TriageReport, truth: dict[str, list[list[str]]]) -> None:
    """What was missed, misnamed or wrongly accused, then the counts. `truth`: test -> (categories that fit, culprits or partners)."""
    found = {r.nodeid: r for r in report.records}
    right = named = wanted = 0
    for test, (categories, others) in truth.items():
        record = found.get(test)
        fits = record is not None and record.category in categories
        right += fits
        wanted += bool(others)
        said = [*(t for g in record.culprits for t in g), *record.partners] if record else []
        named += bool(others) and sorted(said) == sorted(others)
        if record is None:
            seen = next((line for line in report.others if line.nodeid == test), None)
            print(f"missed: {test} ({'/'.join(categories)}): {seen}")
        elif not fits:
            print(f"misnamed: {test}: {record.category}, not {'/'.join(categories)}: {record.why}")
        elif sorted(said) != sorted(others):
            print(f"culprits: {test}: {said}, not {others}")
    accused = [t for t in found if t not in truth]
    for test in accused:
        print(f"accused: {test}: {found[test].category}: {found[test].why}")
    arms = Counter(arm for line in report.timelines.values() for arm, _ in line)
    print(f"runs of flaky tests by experiment: {dict(arms.most_common())}")
    hits = sum(t in found for t in truth)
    print(
        f"found {hits} of {len(truth)}, right category {right}, culprits or partners {named} of {wanted}, "
        f"accused {len(accused)} of {report.tests - len(truth)}; {report.per_test:.1f} executions per test, "
        f"{report.cpu:.0f} CPU s, {report.seconds:.0f} s; not reached: {', '.join(report.not_reached) or 'nothing'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget", default="40x")
    options = parser.parse_args()
    score(triage(options.budget), json.loads((HERE / "truth.json").read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
