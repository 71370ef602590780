"""What does a candidate cost in a fork of the collected session, with a fresh import, and cold; do the verdicts agree?

Random template edits on covered code. Each is judged hot (where that is refused, as it falls), with a fresh import, and by a
cold `python -m pytest` of its own, on up to three tests that reach the edit. The sessions load no third-party plugins, which
makes the cold run cheaper and the ratios smaller than they are for most users.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import time
from dataclasses import replace
from typing import Any

from pytest_agentflow.adapters.toolcache import tool_bytecode
from pytest_agentflow.adapters.warm import COLD, FRESH, HOT, Job, Limits, WarmRunner
from pytest_agentflow.agents.search.edits import Source
from pytest_agentflow.agents.search.normal import normal_form
from pytest_agentflow.agents.search.order import generate

MODES = (HOT, FRESH, COLD)


def compare(project: Any, args: argparse.Namespace) -> list[dict]:
    """One row per candidate."""
    chance = random.Random(args.seed)
    _, coverage = project.observe()
    case, rows, pool = project.case, [], []
    for path in project.sources:
        source = Source.read(case.tree, path)
        reached = coverage.lines_tested(path) if source else set()
        if source is not None and reached:
            ranked = generate({path: source}, {(path, n): 1.0 for n in reached}, args.seed)
            pool += [(source, r.edits) for r in ranked]
    chance.shuffle(pool)
    spec = replace(case.spec, env={**case.spec.env, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    spec = replace(spec, bytecode=str(tool_bytecode(spec, case.scratch) or ""))
    with WarmRunner() as runner:
        runner.start(spec, case.tree, project.green, case.scratch / "warm")
        print(f"{project.name}: {len(pool)} edits, not available: {dict(runner.why)}", flush=True)
        for source, edits in pool:
            if len(rows) >= args.candidates:
                break
            tests = [t for t in coverage.tests_reaching(source.path, [edits[0].line]) if t in project.green]
            if not tests or normal_form(source, *edits) is None:
                continue
            tests = tuple(chance.sample(tests, min(3, len(tests))))
            rows.append({"project": project.name, "kind": edits[0].kind, **one(runner, source, edits, tests)})
    report(project.name, rows)
    rate(project, spec, rows)
    return rows


def one(runner: WarmRunner, source: Source, edits: tuple, tests: tuple[str, ...]) -> dict:
    files = {source.path: source.patched(edits)}
    row: dict[str, Any] = {"line": edits[0].line, "text": edits[0].text, "tests": tests}
    for mode in MODES:
        if mode == COLD and row[HOT]["killed"] in ("cpu", "wall"):
            continue  # ended by its limit when warm; a cold run would take all the session's time
        before = _children()
        runner.submit(Job(files, tests, Limits(default=1.0, stop=False, wall=30.0), mode))
        verdict = runner.next()[1]
        row[mode] = {
            "mode": verdict.mode,
            "cpu": _children() - before if verdict.mode == COLD else verdict.cpu,
            "red": sorted(i for i in tests if verdict.outcomes.get(i) != "passed"),
            "rung": verdict.rung,
            "killed": verdict.killed,
            "why": verdict.why,
        }
    row["agree"] = COLD not in row or row[HOT]["red"] == row[COLD]["red"] == row[FRESH]["red"]
    return row


def rate(project: Any, spec: Any, rows: list[dict]) -> None:
    """Candidates a second with two forks under way, on the candidates that were hot: wall time, so a quiet machine."""
    again = [r for r in rows if r[HOT]["mode"] == HOT and not r[HOT]["killed"]][:200]
    sources = {p: s for p in project.sources if (s := Source.read(project.case.tree, p)) is not None}
    if not again:
        return
    with WarmRunner() as runner:
        runner.start(spec, project.case.tree, project.green, project.case.scratch / "rate")
        path = next(iter(sources))
        limits = Limits(default=1.0, wall=30.0)
        jobs = [Job({path: sources[path].data}, tuple(r["tests"][:1]), limits) for r in again]
        began, done = time.monotonic(), 0
        for job in jobs:
            while runner.busy >= 2:
                done += bool(runner.next())
            runner.submit(job)
        while runner.busy:
            done += bool(runner.next())
        wall = time.monotonic() - began
    print(f"{'':22} {done} unpatched runs of one test, two at a time: {done / wall:.0f} a second", flush=True)


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def report(name: str, rows: list[dict]) -> None:
    calm = [r for r in rows if COLD in r and not any(r[m]["killed"] for m in MODES)]
    hot = [r for r in calm if r[HOT]["mode"] == HOT]
    fresh = [r for r in calm if r[FRESH]["mode"] == FRESH]
    if not hot or not fresh:
        print(f"{name:22} {len(rows)} candidates, {len(hot)} hot, {len(fresh)} fresh", flush=True)
        return
    times = {HOT: [r[HOT]["cpu"] for r in hot], FRESH: [r[FRESH]["cpu"] for r in fresh]}
    times[COLD] = [r[COLD]["cpu"] for r in calm]
    cpu = {mode: statistics.median(times[mode]) for mode in MODES}
    failing = [r[HOT]["cpu"] for r in hot if r[HOT]["red"]]
    passing = [r[HOT]["cpu"] for r in hot if not r[HOT]["red"]]
    ratio = statistics.median(failing) / statistics.median(passing) if failing and passing else 0.0
    print(
        f"{name:22} {len(rows)} candidates, {len(hot)} hot, {len(rows) - len(calm)} ended by a limit; median CPU ms"
        f" hot {1000 * cpu[HOT]:.1f} fresh {1000 * cpu[FRESH]:.1f} cold {1000 * cpu[COLD]:.0f}; cold/hot"
        f" {cpu[COLD] / cpu[HOT]:.0f}x cold/fresh {cpu[COLD] / cpu[FRESH]:.1f}x failing/passing {ratio:.2f};"
        f" disagreements {sum(not r['agree'] for r in rows)}",
        flush=True,
    )


def summary(rows: list[dict]) -> None:
    """Every disagreement, in full."""
    compared = [r for r in rows if COLD in r]
    wrong = [r for r in rows if not r["agree"]]
    print(f"\n{len(rows)} candidates, {len(compared)} also cold, {len(wrong)} disagreements")
    for r in wrong:
        print("  ", r["project"], r["kind"], r["line"], repr(r["text"]), {m: r[m] for m in MODES})
