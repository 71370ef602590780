"""What does a candidate cost in a fork of the collected session, with a fresh import, and cold; do the verdicts agree?

Random template edits on covered code, on up to three tests that reach the edit. Each is judged hot (where that is refused, as
it falls) and by pytest on a patched copy of the tree, in a process that imports the project from disk and knows nothing of
the warm runner: a fork of one that has imported pytest alone. Every twentieth is also judged with a fresh import and by a
cold `python -m pytest`; these give the costs. The sessions load no third-party plugins, which makes the cold run cheaper and
the ratios smaller than they are for most users.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import resource
import shutil
import statistics
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_agentflow.adapters.sessions import child_environment
from pytest_agentflow.adapters.toolcache import tool_bytecode
from pytest_agentflow.adapters.warm import COLD, FRESH, HOT, Job, Limits, WarmRunner, steady
from pytest_agentflow.agents.search.edits import Source
from pytest_agentflow.agents.search.normal import normal_form
from pytest_agentflow.agents.search.order import generate

MODES = (HOT, FRESH, COLD)
EVERY = 20  # candidates that are also run fresh and cold


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
    # Without plugins, and so without the options for them.
    spec = replace(case.spec, env={**case.spec.env, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, plugins=())
    spec = replace(spec, bytecode=str(tool_bytecode(spec, case.scratch) or ""))
    with contextlib.ExitStack() as stack:
        runner = stack.enter_context(WarmRunner())
        runner.start(spec, case.tree, project.green, case.scratch / "warm")
        print(f"{project.name}: {len(pool)} edits, not available: {dict(runner.why)}", flush=True)
        colds = stack.enter_context(ColdForks(spec, case.tree, case.scratch / "copy"))
        until = time.monotonic() + args.seconds
        for source, edits in pool:
            if len(rows) >= args.candidates or time.monotonic() > until:
                break
            tests = [t for t in coverage.tests_reaching(source.path, [edits[0].line]) if t in project.green]
            if not tests or normal_form(source, *edits) is None:
                continue
            tests = tuple(chance.sample(tests, min(3, len(tests))))
            rows.append(
                {
                    "project": project.name,
                    "kind": edits[0].kind,
                    **one(runner, colds, source, edits, tests, len(rows)),
                }
            )
    report(project.name, rows)
    rate(project, spec, rows)
    batch_rate(project, spec, rows, args.seed)
    return rows


def one(
    runner: WarmRunner, colds: ColdForks, source: Source, edits: tuple, tests: tuple[str, ...], n: int
) -> dict:
    files = {source.path: source.patched(edits)}
    row: dict[str, Any] = {"line": edits[0].line, "text": edits[0].text, "tests": tests}
    row |= {"path": source.path, "new": files[source.path].decode("latin-1")}
    for mode in MODES if n % EVERY == 0 else (HOT,):
        if mode == COLD and row[HOT]["killed"]:
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
    if not row[HOT]["killed"]:
        row["disk"] = {"red": sorted(set(tests) - set(colds.passed(files, tests)))}
    seen = [row[k]["red"] for k in (*MODES, "disk") if k in row and not row[k].get("killed")]
    row["agree"] = all(red == seen[0] for red in seen)
    return row


# A process that imports pytest and nothing else, and forks for each candidate: nothing in it is the warm runner's.
COLD_FORKS = r"""
import json, os, sys, pytest
class Note:
    def __init__(self): self.bad, self.ran = set(), set()
    def pytest_runtest_logreport(self, report):
        self.ran.add(report.nodeid)
        if report.outcome != "passed" or hasattr(report, "wasxfail"): self.bad.add(report.nodeid)
for line in sys.stdin:
    request = json.loads(line)
    reader, writer = os.pipe()
    if os.fork() == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2): os.dup2(null, fd)
        note = Note()
        pytest.main([*request["args"], *request["ids"]], plugins=[note])
        os.write(writer, json.dumps(sorted(note.ran - note.bad)).encode())
        os._exit(0)
    os.close(writer)
    said = b""
    while chunk := os.read(reader, 65536): said += chunk
    os.close(reader); os.wait()
    print((said or b"[]").decode(), flush=True)
"""


class ColdForks:
    """Judges candidates on a copy of the tree, from what is on disk."""

    def __init__(self, spec: Any, tree: Path, copy: Path) -> None:
        shutil.copytree(tree, copy, ignore=shutil.ignore_patterns("__pycache__", ".git"))
        self._tree, self._n = copy, 0
        self._args = ["-p", "no:cacheprovider", "-q", "--tb=no", "--rootdir", str(copy)]
        env = {**child_environment(spec, copy, copy.parent / "disk", 0, {}), "PYTHONDONTWRITEBYTECODE": "1"}
        argv = [spec.python, "-P", "-s", "-c", COLD_FORKS]
        self._process = subprocess.Popen(
            argv, cwd=copy, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> ColdForks:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.communicate()

    def passed(self, files: dict[str, bytes], ids: tuple[str, ...]) -> list[str]:
        kept = {path: (self._tree / path).read_bytes() for path in files}
        try:
            for path, data in files.items():
                (self._tree / path).write_bytes(data)
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps({"ids": ids, "args": self._args}) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())
        finally:
            for path, data in kept.items():
                (self._tree / path).write_bytes(data)


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


def batch_rate(project: Any, spec: Any, rows: list[dict], seed: int) -> None:
    """Candidates a second as the search screens them: against a failing test, in batches, two at a time. Wall time as well."""
    tree = project.case.tree
    wrong = [r for r in rows if r[HOT]["mode"] == HOT and r[HOT]["red"] and not r[HOT]["killed"]]
    for row in wrong[:5]:
        kept = (tree / row["path"]).read_bytes()
        (tree / row["path"]).write_bytes(row["new"].encode("latin-1"))
        try:
            with WarmRunner() as runner:
                runner.start(spec, tree, row[HOT]["red"][:1], project.case.scratch / "batches")
                told = screened(runner, Source.read(tree, row["path"]), row, seed)
        finally:
            (tree / row["path"]).write_bytes(kept)
        print(f"{'':22} {told}", flush=True)


def screened(runner: WarmRunner, source: Source | None, row: dict, seed: int) -> str:
    """Up to 2,000 edits around a planted bug, held against the test that fails because of it."""
    test = row[HOT]["red"][0]
    base = runner.judge({}, [test])
    said = steady(base.messages.get(test, ""))
    if source is None or not said:
        return "no batches: the test does not fail by itself"
    lines = {(source.path, row["line"] + n): 1.0 for n in range(-20, 21)}
    edits = [r.edits for r in generate({source.path: source}, lines, seed)][:2000]
    jobs = [Job({source.path: source.patched(e)}, (test,), Limits(default=0.2)) for e in edits]
    began, judged = time.monotonic(), 0
    for at in range(0, len(jobs), 48):
        while runner.under_way >= 2:
            judged += runner.next()[1].killed != "lost"
        runner.screen(jobs[at : at + 48], said)
    while runner.busy:
        judged += runner.next()[1].killed != "lost"
    rate = judged / (time.monotonic() - began)
    took = base.seconds.get(test, 0.0) * 1000
    return f"{judged} of {len(jobs)} candidates screened in batches against a test of {took:.1f} ms: {rate:.0f} a second"


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def report(name: str, rows: list[dict]) -> None:
    compared = [r for r in rows if "disk" in r]
    calm = [r for r in rows if COLD in r and not any(r[m]["killed"] for m in MODES)]
    hot = [r for r in compared if r[HOT]["mode"] == HOT]
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
        f"{name:22} {len(rows)} candidates, {len(hot)} hot, {len(rows) - len(compared)} ended by a limit; median CPU ms"
        f" hot {1000 * cpu[HOT]:.1f} fresh {1000 * cpu[FRESH]:.1f} cold {1000 * cpu[COLD]:.0f}; cold/hot"
        f" {cpu[COLD] / cpu[HOT]:.0f}x cold/fresh {cpu[COLD] / cpu[FRESH]:.1f}x failing/passing {ratio:.2f};"
        f" disagreements {sum(not r['agree'] for r in rows)}",
        flush=True,
    )


def summary(rows: list[dict]) -> None:
    """Every disagreement, in full."""
    compared = [r for r in rows if "disk" in r]
    wrong = [r for r in rows if not r["agree"]]
    print(f"\n{len(rows)} candidates, {len(compared)} also from disk, {len(wrong)} disagreements")
    for r in wrong:
        print(
            "  ",
            r["project"],
            r["kind"],
            r["line"],
            repr(r["text"]),
            {m: r[m] for m in (*MODES, "disk") if m in r},
        )
