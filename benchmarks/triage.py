"""How well does flaky triage do on generated projects whose truth is known, and how do its peers do on the same?

    python benchmarks/triage.py --seeds 101-110 --out RESULTS        # one JSON file per seed, then the table
    python benchmarks/triage.py --table RESULTS                      # the table again

Peers on the same projects: `benchmarks/triage_peers.py`.

Seeds below 100 are for building; what is reported comes from seeds above.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flaky_projects

from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.core.flaky import FlakyRecord
from pytest_agentflow.core.flaky_report import TriageReport
from pytest_agentflow.core.triage_budget import parse_budget
from pytest_agentflow.stages.flaky_triage import run_triage

DETERMINISTIC = {
    "order_victim", "order_brittle", "rng_unseeded", "hash_seed", "timezone", "time_of_day", "clock_window",
    "non_idempotent", "leftover_state", "parallel_collision",
}  # fmt: skip


def cpu() -> float:
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in spent)


def triage(seed: int, size: int, budget: str, reproduce: int) -> dict[str, Any]:
    """One project: what was found, against the truth."""
    project = flaky_projects.make(seed, size)
    with tempfile.TemporaryDirectory(prefix="triage-") as place:
        tree = Path(place) / "project"
        flaky_projects.write(project, tree)
        env = {k: os.environ[k] for k in ("PATH", "PYTHONPATH") if k in os.environ} | {"LANG": "C.UTF-8"}
        spec = RunSpec(python=sys.executable, env=env, inifile="pyproject.toml")
        before, began = cpu(), time.monotonic()
        report = run_triage(spec, tree, [], parse_budget(budget), Path(place) / "out", lambda text: None)
        spent = cpu() - before
        tries = reproduced(report, tree, reproduce, seed)
    return {
        "seed": seed,
        "tests": report.tests,
        "executions": report.executions,
        "cpu": round(spent, 1),
        "seconds": round(time.monotonic() - began, 1),
        "not_reached": list(report.not_reached),
        "rows": rows(report, project.truth),
        "reproduced": tries,
    }


def rows(report: TriageReport, truth: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    found = {r.nodeid: r for r in report.records}
    table = []
    for nodeid, true in truth.items():
        record = found.get(nodeid)
        table.append(
            {
                "test": nodeid,
                "true": true["category"],
                "p": true["p"],
                "kind": kind(true),
                "said": str(record.category) if record else None,
                "culprits": right_culprits(record, true) if record and true["culprits"] else None,
                "partners": set(record.partners) == set(true["partners"])
                if record and true["partners"]
                else None,
                "cause": record.cause if record else None,
                "interval": [record.runs, record.failures, record.low, record.high] if record else None,
            }
        )
    return table


def kind(true: dict[str, Any]) -> str:
    groups = true["culprits"]
    assert isinstance(groups, list)
    if not groups:
        return ""
    return "both needed" if len(groups[0]) > 1 else "any of two" if len(groups) > 1 else "one"


def right_culprits(record: FlakyRecord, true: dict[str, Any]) -> bool:
    return {frozenset(g) for g in record.culprits} == {frozenset(g) for g in true["culprits"]}


def reproduced(report: TriageReport, tree: Path, tests: int, seed: int) -> list[list[object]]:
    """Run the printed command ten times for some of the deterministic ones, in fresh processes."""
    chosen = [r for r in report.records if r.category in DETERMINISTIC]
    chosen = random.Random(seed).sample(chosen, min(tests, len(chosen)))
    results: list[list[object]] = []
    for record in chosen:
        failures = 0
        for _ in range(10):
            with tempfile.TemporaryDirectory() as home:
                env = {
                    **os.environ,
                    "HOME": home,
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                }
                done = subprocess.run(
                    ["sh", "-c", record.reproducer], cwd=tree, env=env, capture_output=True, check=False
                )
            failures += done.returncode != 0
            for name in [record.path] if record.path and not record.path.startswith("/") else []:
                subprocess.run(["rm", "-rf", str(tree / name)], check=False)
        results.append([record.nodeid, str(record.category), failures])
    return results


# ------------------------------------------------------------------------------------------- the table


def table(folder: Path) -> None:
    runs = [json.loads(p.read_text()) for p in sorted(folder.glob("seed-*.json"))]
    everything = [row for run in runs for row in run["rows"]]
    print(f"{len(runs)} projects, {len(everything)} tests\n")
    by_category(everything)
    accusations(everything)
    culprits(everything)
    groups = sum(one_cause(run["rows"]) for run in runs)
    print(f"infrastructure reported as one cause: {groups} of {len(runs)} projects")
    tries = [t for run in runs for t in run["reproduced"]]
    if tries:
        failed = Counter(t[1] for t in tries if t[2] < 9)
        print(
            f"reproducers that fail in >= 9 of 10 tries: {len(tries) - failed.total()} of {len(tries)} {dict(failed)}"
        )
    for name, key in (("executions", "executions"), ("CPU s", "cpu"), ("wall s", "seconds")):
        values = [run[key] / run["tests"] if key == "executions" else run[key] for run in runs]
        per = "per test" if key == "executions" else "per project"
        print(f"{name} {per}: median {statistics.median(values):.1f}, most {max(values):.1f}")


def by_category(everything: Sequence[dict[str, Any]]) -> None:
    """Each category's row, and the intervals of those whose rate is known."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in everything:
        name = row["true"]
        if name in ("randomness", "rng_unseeded"):
            name += f" p={row['p']:.2g}" if row["p"] <= 0.06 else " p>=0.1"
        groups[name].append(row)
    print("| category | tests | found | right category |\n|---|---|---|---|")
    for name, group in sorted(groups.items()):
        if not name.startswith("stable"):
            right = share(group, lambda r: r["said"] == r["true"])
            print(f"| {name} | {len(group)} | {share(group, lambda r: r['said'])} | {right} |")
    flaky = [r for r in everything if not r["true"].startswith("stable")]
    right = share(flaky, lambda r: r["said"] == r["true"])
    print(f"| **all flaky** | {len(flaky)} | {share(flaky, lambda r: r['said'])} | {right} |\n")
    known = [r for r in flaky if r["p"] is not None and r["interval"] and r["interval"][0] >= 10]
    inside = [r["interval"][2] <= r["p"] <= r["interval"][3] for r in known]
    if inside:
        print(
            f"95 % intervals that hold the true p: {sum(inside)} of {len(inside)} ({sum(inside) / len(inside):.1%})"
        )


def accusations(everything: Sequence[dict[str, Any]]) -> None:
    stable = [r for r in everything if r["true"].startswith("stable")]
    accused = [r["said"] for r in stable if r["said"]]
    print(f"stable tests accused: {len(accused)} of {len(stable)} {accused or ''}")


def culprits(everything: Sequence[dict[str, Any]]) -> None:
    for case in ("one", "any of two", "both needed"):
        for name in ("order_victim", "order_brittle"):
            mine = [r for r in everything if r["true"] == name and r["kind"] == case]
            if mine:
                print(
                    f"culprits exactly right, {name}, {case}: {share(mine, lambda r: r['culprits'])} of {len(mine)}"
                )
    pairs = [r for r in everything if r["true"] == "parallel_collision" and r["said"]]
    if pairs:
        print(f"partners right: {share(pairs, lambda r: r['partners'])} of {len(pairs)}")


def share(group: Sequence[dict[str, Any]], holds: Callable[[dict[str, Any]], object]) -> str:
    return f"{sum(bool(holds(r)) for r in group) / len(group):.1%}" if group else "n/a"


def one_cause(rows: list[dict[str, Any]]) -> bool:
    mine = [r for r in rows if r["true"] == "infrastructure"]
    return all(r["said"] == "infrastructure" for r in mine) and len({r["cause"] for r in mine}) == 1


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", default="101-110")
    parser.add_argument("--size", type=int, default=130)
    parser.add_argument("--budget", default="40x")
    parser.add_argument(
        "--reproduce",
        type=int,
        default=2,
        help="deterministic tests per project whose command is run 10 times",
    )
    parser.add_argument("--out", type=Path, default=Path("triage-results"))
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    if options.table:
        return table(options.table)
    first, _, last = options.seeds.partition("-")
    for seed in range(int(first), int(last or first) + 1):
        options.out.mkdir(parents=True, exist_ok=True)
        result = triage(seed, options.size, options.budget, options.reproduce)
        (options.out / f"seed-{seed}.json").write_text(json.dumps(result, indent=1))
    table(options.out)
    return None


if __name__ == "__main__":
    main()
