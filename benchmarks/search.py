"""How many bugs, seeded in real projects, does the search agent repair, how well, and at what price?

    python benchmarks/search.py seeded PROJECT.tar.gz… --bugs 8      seeded single bugs, real localisation
    python benchmarks/search.py warm PROJECT.tar.gz…                 what a candidate costs, warm and cold; do they agree?

Give source distributions that hold their tests (`pip download --no-binary :all: --no-deps NAME`). Every second covering
test is hidden from the agent. `accepted`: a cold run of visible tests and guards is green; `wrong`: accepted, but a hidden
test is red; `same`: equal to the original after normalising; `equivalent` needs a reader, so the diffs are printed.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import random
import shutil
import statistics
import tarfile
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from search_harness import Case, attempt, cpu_seconds, green, with_files
from seeding import Bug, bugs

from pytest_agentflow.adapters import coverage_map
from pytest_agentflow.core.model import Cluster, Observation, SessionRecord
from pytest_agentflow.stages.localise import localise

RECORDER = "pytest_agentflow.child.recorder"
TEST_PARTS = (
    "test",
    "tests",
    "testing",
    "docs",
    "doc",
    "benchmarks",
    "bench",
    "examples",
    "setup.py",
    "conftest.py",
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["seeded", "warm"])
    parser.add_argument("projects", nargs="+", type=Path)
    parser.add_argument("--bugs", type=int, default=8, help="bugs per project")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deadline", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--candidates", type=int, default=200)
    args = parser.parse_args()
    rows: list[dict] = []
    for archive in args.projects:
        root = Path(tempfile.mkdtemp(prefix="search-"))
        try:
            project = Project(archive, root)
            if project.problem:
                print(f"{archive.name}: left out ({project.problem})", flush=True)
                continue
            rows += {"seeded": seeded, "warm": warm}[args.what](project, args)
        finally:
            shutil.rmtree(root, ignore_errors=True)
        if args.json:
            args.json.write_text(json.dumps(rows, indent=1))
    {"seeded": seeded_summary, "warm": warm_summary}[args.what](rows)
    return 0


class Project:
    """An unpacked project whose suite runs green, apart from what its base already fails."""

    def __init__(self, archive: Path, root: Path) -> None:
        with tarfile.open(archive) as tar:
            tar.extractall(root, filter="data")
        top = next(p for p in root.iterdir() if p.is_dir())
        roots = ("src", ".") if (top / "src").is_dir() else (".",)
        self.name = archive.name.removesuffix(".tar.gz")
        self.case = Case(self.name, top, root / "scratch", roots=roots)
        began = time.monotonic()
        self.record = self.case.run(timeout=180, extra_args=("--timeout=20",))
        self.seconds = time.monotonic() - began
        self.green = green(self.record.results)
        self.problem = ""
        if len(self.green) < 20:
            self.problem = (
                f"{len(self.green)} green tests, {self.record.problem}: {self.record.output_tail[-200:]!r}"
            )
        self.sources = sorted(
            str(p.relative_to(top))
            for base in ({roots[0]} if roots[0] == "src" else {"."})
            for p in (top / base).rglob("*.py")
            if not any(part.startswith(TEST_PARTS) for part in p.relative_to(top).parts)
            and p.stat().st_size > 400
        )

    def observe(self) -> tuple[SessionRecord, coverage_map.CoverageMap]:
        out = self.case.scratch / "coverage"
        shutil.rmtree(out, ignore_errors=True)
        options = {
            "roots": ["."],
            "omit": [],
            "level": "lines",
            "out": str(out),
            "top": os.path.realpath(self.case.tree),
        }
        from pytest_agentflow.child.recorder import ENVIRONMENT

        record = self.case.run(
            ids=None,
            timeout=240,
            extra_args=("--timeout=20", "-p", RECORDER),
            extra_env={ENVIRONMENT: json.dumps(options)},
        )
        return record, coverage_map.read(out, self.case.tree)


def seeded(project: Project, args: argparse.Namespace) -> list[dict]:
    chance = random.Random(f"{project.name}-{args.seed}")
    pool = [
        (path, bug)
        for path in project.sources
        for bug in bugs((project.case.tree / path).read_text(), args.seed)
    ]
    by_kind = defaultdict(list)
    for path, bug in pool:
        by_kind[bug.kind].append((path, bug))
    kinds = sorted(by_kind)
    chance.shuffle(kinds)
    rows: list[dict] = []
    tries = 0
    while len(rows) < args.bugs and tries < args.bugs * 6 and kinds:
        kind = kinds[tries % len(kinds)]
        tries += 1
        path, bug = chance.choice(by_kind[kind])
        row = one_bug(project, path, bug, args)
        if row is not None:
            rows.append(row)
            print(line(row), flush=True)
    return rows


def one_bug(project: Project, path: str, bug: Bug, args: argparse.Namespace) -> dict | None:
    file = project.case.tree / path
    original = file.read_bytes()
    file.write_bytes(bug.source.encode())
    try:
        record, coverage = project.observe()
        broken = [i for i in project.green if i in record.results and record.results[i].outcome.red]
        missing = [i for i in project.green if i not in record.results]
        if broken and not missing:  # a test that only the recorder's slowness breaks is no target
            again = project.case.run(ids=broken, timeout=120)
            broken = [i for i in broken if i in again.results and again.results[i].outcome.red]
        if not broken or missing or len(broken) > max(10, 0.2 * len(project.green)):
            return None
        clusters = located(project, record, coverage, broken)
        return repaired(project, path, bug, original, record, coverage, clusters, args)
    finally:
        file.write_bytes(original)


def located(
    project: Project, record: SessionRecord, coverage: coverage_map.CoverageMap, broken: list[str]
) -> tuple[Cluster, ...]:
    keep = {i: r for i, r in record.results.items() if i in project.green}
    observation = Observation("", tuple(keep), tuple(keep), keep, record.duration)
    return localise(observation, coverage, project.case.tree, None, tuple(broken))


def hide_half(
    project: Project, coverage: coverage_map.CoverageMap, path: str, bug: Bug, broken: list[str]
) -> set[str]:
    """Every second failing test and every second guard that reaches the changed function's file."""
    covering = [i for i in project.green if i not in broken and path in coverage.lines_of(i)]
    return set(sorted(broken)[1::2]) | set(sorted(covering)[1::2])


def repaired(project, path, bug, original, record, coverage, clusters, args) -> dict:
    broken = [t for cluster in clusters for t in cluster.targets]
    hidden = hide_half(project, coverage, path, bug, broken)
    guards = [i for i in project.green if i not in broken and i not in hidden]
    row = {
        "project": project.name,
        "kind": bug.kind,
        "path": path,
        "line": bug.line,
        "what": bug.what,
        "failing": len(broken),
    }
    row |= {
        "accepted": 0,
        "same": 0,
        "wrong": 0,
        "any_same": 0,
        "label": "",
        "diff": "",
        "tried": 0,
        "clusters": len(clusters),
    }
    row["rank"] = rank_of(clusters, path, bug.line)
    files, wall, cpu, tried, stopped = {}, 0.0, 0.0, 0, []
    for cluster in clusters[:3]:
        visible = [t for t in cluster.targets if t not in hidden] or list(cluster.targets[:1])
        lines = [(r.path, r.line, r.score) for r in cluster.ranked_lines if r.path in project.sources]
        report, w, c = attempt(
            project.case,
            record.results,
            visible,
            guards,
            lines,
            deadline=args.deadline,
            suspects=cluster.suspects,
        )
        wall, cpu, tried = wall + w, cpu + c, tried + report.notes.get("tried", 0)
        stopped.append(report.notes.get("stopped") or report.message)
        row["notes"] = str({k: v for k, v in report.notes.items() if k != "near_misses"})[:500]
        if report.candidates:
            files = report.candidates[0].files
            row["label"], row["plausible"] = report.candidates[0].label, len(report.candidates)
            row["any_same"] = int(any(same(c.files, path, original) for c in report.candidates))
            visible_green = with_files(project.case, files, sorted({*broken, *guards} - hidden))
            row["accepted"] = int(all_green(visible_green, sorted({*broken, *guards} - hidden)))
            if row["accepted"]:
                rest = with_files(project.case, files, sorted(hidden)) if hidden else None
                row["wrong"] = int(rest is not None and not all_green(rest, sorted(hidden)))
                row["same"] = int(same(files, path, original))
                break
    row |= {"wall": wall, "cpu": cpu, "tried": tried, "stopped": "; ".join(stopped)}
    row["diff"] = "\n".join(_diff(project, files, path, original))
    return row


def _diff(project, files, path, original):
    for p, data in files.items():
        old = original if p == path else (project.case.tree / p).read_bytes()
        yield from difflib.unified_diff(
            old.decode().splitlines(), data.decode().splitlines(), "original", "repaired", lineterm="", n=0
        )


def same(files, path: str, original: bytes) -> bool:
    return set(files) == {path} and ast.dump(ast.parse(files[path])) == ast.dump(ast.parse(original))


def all_green(record: SessionRecord, ids: list[str]) -> bool:
    return all(i in record.results and record.results[i].outcome == "passed" for i in ids)


def rank_of(clusters, path: str, line: int) -> int:
    """Rank of the seeded line in the ranking (0: not in it)."""
    for cluster in clusters:
        for n, scored in enumerate(cluster.ranked_lines, 1):
            if scored.path == path and scored.line == line:
                return n
    return 0


def line(row: dict) -> str:
    return (
        f"{row['project']:22} {row['kind']:18} rank={row['rank']:4} failing={row['failing']:3} accepted={row['accepted']} same={row['same']}"
        f" wrong={row['wrong']} any_same={row['any_same']} tried={row['tried']:5} wall={row['wall']:5.1f} cpu={row['cpu']:5.1f} {row['what']} => {row['label']} [{row['stopped']}]"
    )


def seeded_summary(rows: list[dict]) -> None:
    if not rows:
        return
    n = len(rows)
    accepted = sum(r["accepted"] for r in rows)
    print(f"\n{n} bugs, {len({r['kind'] for r in rows})} kinds, {len({r['project'] for r in rows})} projects")
    print(
        f"accepted {accepted} ({accepted / n:.0%}), textually the original {sum(r['same'] for r in rows)} ({sum(r['same'] for r in rows) / n:.0%}), "
        f"accepted but wrong on hidden tests {sum(r['wrong'] for r in rows)} of {accepted}, original among the offered {sum(r['any_same'] for r in rows)}"
    )
    print(
        f"median wall {statistics.median(r['wall'] for r in rows):.1f} s, median CPU {statistics.median(r['cpu'] for r in rows):.1f} s, all {cpu_seconds():.0f} CPU s"
    )
    by_kind = defaultdict(list)
    for r in rows:
        by_kind[r["kind"]].append(r)
    print("\n| kind | bugs | accepted | same | wrong |\n|---|---|---|---|---|")
    for kind, group in sorted(by_kind.items()):
        print(
            f"| {kind} | {len(group)} | {sum(r['accepted'] for r in group)} | {sum(r['same'] for r in group)} | {sum(r['wrong'] for r in group)} |"
        )
    for r in rows:
        if r["accepted"] and not r["same"]:
            print(f"\nto be read: {r['project']} {r['what']}\n{r['diff']}")


def warm(project: Project, args: argparse.Namespace) -> list[dict]:
    from search_warm import compare

    return compare(project, args)


def warm_summary(rows: list[dict]) -> None:
    from search_warm import summary

    summary(rows)


if __name__ == "__main__":
    raise SystemExit(main())
