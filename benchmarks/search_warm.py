"""What does a candidate cost in a fork of the collected session, with a fresh import, and cold; do the verdicts agree?"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import time
from typing import Any

from pytest_agentflow.adapters.warm import COLD, FRESH, HOT, Job, Limits, WarmRunner
from pytest_agentflow.agents.search.edits import Source
from pytest_agentflow.agents.search.normal import normal_form
from pytest_agentflow.agents.search.order import generate


def compare(project: Any, args: argparse.Namespace) -> list[dict]:
    """Random template edits on covered code, each judged warm, with a fresh import and cold on a few covering tests."""
    chance = random.Random(args.seed)
    _, coverage = project.observe()
    case, rows = project.case, []
    pool = []
    for path in project.sources:
        source = Source.read(case.tree, path)
        reached = coverage.lines_tested(path) if source else set()
        if source is not None and reached:
            ranked = generate({path: source}, {(path, n): 1.0 for n in reached}, args.seed)
            pool += [(source, r.edits) for r in ranked]
    if not pool:
        return []
    with WarmRunner() as runner:
        runner.start(case.spec, case.tree, project.green, case.scratch / "warm")
        while len(rows) < args.candidates:
            source, edits = chance.choice(pool)
            if normal_form(source, *edits) is None:
                continue
            tests = [t for t in coverage.tests_reaching(source.path, [edits[0].line]) if t in project.green]
            if not tests:
                continue
            tests = tuple(chance.sample(tests, min(3, len(tests))))
            rows.append({"project": project.name, "kind": edits[0].kind, **one(runner, source, edits, tests)})
    report(project.name, rows)
    return rows


def one(runner: WarmRunner, source: Source, edits: tuple, tests: tuple[str, ...]) -> dict:
    files = {source.path: source.patched(edits)}
    row: dict[str, Any] = {}
    for mode in (HOT, FRESH, COLD):
        began, before = time.monotonic(), _children()
        runner.submit(Job(files, tests, Limits(default=2.0, stop=False, wall=60.0), mode))
        verdict = runner.next()[1]
        cpu = _children() - before if verdict.mode == COLD else verdict.cpu
        row[mode] = {
            "mode": verdict.mode,
            "cpu": cpu,
            "wall": time.monotonic() - began,
            "red": sorted(i for i in tests if verdict.outcomes.get(i) != "passed"),
            "rung": verdict.rung,
            "killed": verdict.killed,
            "why": verdict.why,
        }
    # A warm pass without the bell is no pass: the search runs such a candidate cold.
    row["agree"] = row[HOT]["red"] == row[COLD]["red"] or not row[HOT]["rung"]
    return row


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def report(name: str, rows: list[dict]) -> None:
    calm = [r for r in rows if not any(r[m]["killed"] for m in (HOT, FRESH, COLD))]
    hot = [r for r in calm if r[HOT]["mode"] == HOT]
    if not hot:
        return
    cpu = {m: statistics.median(r[m]["cpu"] for r in (hot if m == HOT else calm)) for m in (HOT, FRESH, COLD)}
    failing = [r[HOT]["cpu"] for r in hot if r[HOT]["red"]]
    passing = [r[HOT]["cpu"] for r in hot if not r[HOT]["red"]]
    ratio = statistics.median(failing) / statistics.median(passing) if failing and passing else 0.0
    print(
        f"{name:22} {len(rows)} candidates, {len(hot)} hot; median CPU ms hot {1000 * cpu[HOT]:.1f} fresh {1000 * cpu[FRESH]:.1f}"
        f" cold {1000 * cpu[COLD]:.0f}; cold/hot {cpu[COLD] / cpu[HOT]:.0f}x cold/fresh {cpu[COLD] / cpu[FRESH]:.1f}x"
        f" failing/passing {ratio:.2f}; disagreements {sum(not r['agree'] for r in rows)}",
        flush=True,
    )


def summary(rows: list[dict]) -> None:
    wrong = [r for r in rows if not r["agree"]]
    print(f"\n{len(rows)} candidates, {len(wrong)} disagreements between warm and cold")
    for r in wrong[:20]:
        print(
            "  ",
            r["project"],
            r["kind"],
            {m: (r[m]["mode"], len(r[m]["red"]), r[m]["killed"]) for m in (HOT, FRESH, COLD)},
        )
