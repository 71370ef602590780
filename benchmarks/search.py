"""How many bugs, seeded in real projects, does the search agent repair, how well, and at what price?

    python benchmarks/search.py seeded PROJECT.tar.gz… --bugs 8      seeded single bugs, real localisation
    python benchmarks/search.py together PROJECT.tar.gz… --bugs 3    three bugs in three files of one project at once
    python benchmarks/search.py warm PROJECT.tar.gz…                 what a candidate costs, warm and cold; do they agree?

Give source distributions that hold their tests (`pip download --no-binary :all: --no-deps NAME`), and with `--site` a
directory with what those tests import. A quarter of the failing and of the covering tests is hidden from everybody, and as
in the product another quarter from the agent alone. `accepted`: a cold run of all but the hidden tests is green; `wrong`:
accepted, but a hidden test is red; `same`: equal to the original after normalising; `equivalent` needs a reader, so the
diffs are printed.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import search_warm
from search_harness import cpu_seconds, with_files
from search_projects import Project, Repair, all_green, repair, shuffled, unseen
from seeding import Bug, bugs

from pytest_agentflow.core.model import Cluster

CLUSTERS = 3  # attempts per observation
ROUNDS = 4  # observations of several bugs at once
FAULTS = 3


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["seeded", "together", "warm"])
    parser.add_argument("projects", nargs="*", type=Path)
    parser.add_argument(
        "--earlier", nargs="*", type=Path, default=[], help="JSON of earlier runs to add to the summary"
    )
    parser.add_argument("--bugs", type=int, default=8, help="bugs (or cases of several bugs) per project")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deadline", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--site", nargs="*", default=[], help="directories with what the projects' tests import"
    )
    parser.add_argument(
        "--seconds", type=float, default=600.0, help="warm: wall time for the candidates of a project"
    )
    parser.add_argument("--candidates", type=int, default=200)
    args = parser.parse_args()
    rows: list[dict] = []
    for file in args.earlier:
        rows += json.loads(file.read_text())
    for archive in args.projects:
        root = Path(tempfile.mkdtemp(prefix="search-"))
        try:
            project = Project.unpacked(archive, root, args.site)
            if project.problem:
                print(f"{archive.name}: left out ({project.problem})", flush=True)
                continue
            for row in MODES[args.what][0](project, args):
                rows.append(row)
                if args.json:
                    args.json.write_text(json.dumps(rows, indent=1))
        finally:
            shutil.rmtree(root, ignore_errors=True)
    if rows:
        MODES[args.what][1](rows)
    return 0


# single bugs ---------------------------------------------------------------------------------------------


def seeded(project: Project, args: argparse.Namespace) -> Iterator[dict]:
    by_kind: dict[str, list[tuple[str, Bug]]] = defaultdict(list)
    for path, bug in _pool(project, args.seed):
        by_kind[bug.kind].append((path, bug))
    kinds = shuffled(sorted(by_kind), f"{project.name}-{args.seed}")
    found = 0
    for n in range(args.bugs * 6):
        group = by_kind[kinds[n % len(kinds)]] if kinds else []
        if found < args.bugs and group:
            row = one_bug(project, *group.pop(0), args)
            if row is not None:
                found += 1
                print(line(row), flush=True)
                yield row


def _pool(project: Project, seed: int) -> list[tuple[str, Bug]]:
    texts = {path: (project.case.tree / path).read_text() for path in project.sources}
    return shuffled(
        [(path, bug) for path, text in texts.items() for bug in bugs(text, seed)], f"{project.name}+{seed}"
    )


def one_bug(project: Project, path: str, bug: Bug, args: argparse.Namespace) -> dict | None:
    file = project.case.tree / path
    original = file.read_bytes()
    file.write_bytes(bug.source.encode())
    try:
        record, coverage = project.observe()
        broken = project.broken(record)
        if not broken or len(broken) > max(10, 0.2 * len(project.green)):
            return None
        hidden = unseen(project, coverage, {path}, broken)
        began = time.monotonic()
        clusters = project.clusters(record, coverage, broken, hidden)
        located = time.monotonic() - began
        made: list[Repair] = []
        for cluster in clusters[:CLUSTERS]:
            if set(cluster.targets) - hidden:
                made.append(
                    repair(
                        project,
                        record,
                        coverage,
                        cluster,
                        hidden,
                        broken,
                        deadline=args.deadline,
                        seed=args.seed,
                    )
                )
                if made[-1].accepted:
                    break
        row = _row(project, path, bug, original, broken, hidden, clusters, made)
        return {**row, "located": located, "wall": row["wall"] + located}
    finally:
        file.write_bytes(original)


def _row(
    project: Project, path: str, bug: Bug, original: bytes, broken: list[str], hidden: set[str],
    clusters: tuple[Cluster, ...], made: list[Repair],
) -> dict:  # fmt: skip
    files = made[-1].files if made and made[-1].accepted else {}
    judged = with_files(project.case, files, sorted(hidden)) if files and hidden else None
    return {
        "project": project.name,
        "kind": bug.kind,
        "path": path,
        "line": bug.line,
        "what": bug.what,
        "failing": len(broken),
        "clusters": len(clusters),
        "rank": rank_of(clusters, path, bug.line),
        "accepted": int(bool(files)),
        "same": int(bool(files) and same(files, path, original)),
        "wrong": int(judged is not None and not all_green(judged, sorted(hidden))),
        "any_same": int(any(same(f, path, original) for r in made for f in r.offered)),
        "offered": sum(len(r.offered) for r in made),
        "label": made[-1].label if made else "",
        "tried": sum(r.tried for r in made),
        "wall": sum(r.wall for r in made),
        "cpu": sum(r.cpu for r in made),
        "stopped": "; ".join(r.stopped for r in made),
        "notes": [r.notes for r in made],
        "diff": "\n".join(_diff(project, files, path, original)),
    }


def _diff(project: Project, files: Mapping[str, bytes], path: str, original: bytes) -> Iterator[str]:
    for p, data in files.items():
        old = original if p == path else (project.case.tree / p).read_bytes()
        yield from difflib.unified_diff(
            old.decode().splitlines(), data.decode().splitlines(), "original", "repaired", lineterm="", n=0
        )


def same(files: Mapping[str, bytes], path: str, original: bytes) -> bool:
    return set(files) == {path} and ast.dump(ast.parse(files[path])) == ast.dump(ast.parse(original))


def rank_of(clusters: tuple[Cluster, ...], path: str, line: int) -> int:
    """Rank of the seeded line in the ranking (0: not in it)."""
    for cluster in clusters:
        for n, scored in enumerate(cluster.ranked_lines, 1):
            if scored.path == path and scored.line == line:
                return n
    return 0


def line(row: dict) -> str:
    return (
        f"{row['project']:20} {row['kind']:17} rank={row['rank']:3} failing={row['failing']:3} accepted={row['accepted']}"
        f" same={row['same']} wrong={row['wrong']} any_same={row['any_same']} tried={row['tried']:5} wall={row['wall']:5.1f}"
        f" cpu={row['cpu']:5.1f} {row['what']} => {row['label']} [{row['stopped']}]"
    )


def seeded_summary(rows: list[dict]) -> None:
    n, accepted, alike = len(rows), sum(r["accepted"] for r in rows), sum(r["same"] for r in rows)
    print(f"\n{n} bugs, {len({r['kind'] for r in rows})} kinds, {len({r['project'] for r in rows})} projects")
    print(
        f"accepted {accepted} ({accepted / n:.0%}), textually the original {alike} ({alike / n:.0%}), accepted but wrong on"
        f" hidden tests {sum(r['wrong'] for r in rows)}, original among the offered {sum(r['any_same'] for r in rows)}"
    )
    walls, cpus = [r["wall"] for r in rows], [r["cpu"] for r in rows]
    print(
        f"median wall {statistics.median(walls):.1f} s, of it {statistics.median(r['located'] for r in rows):.1f} s to locate, median CPU {statistics.median(cpus):.1f} s, all {cpu_seconds():.0f} CPU s"
    )
    by_kind = defaultdict(list)
    for r in rows:
        by_kind[r["kind"]].append(r)
    print("\n| kind | bugs | accepted | same | wrong |\n|---|---|---|---|---|")
    for kind, group in sorted(by_kind.items()):
        counts = (sum(r[what] for r in group) for what in ("accepted", "same", "wrong"))
        print(f"| {kind} | {len(group)} | {' | '.join(map(str, counts))} |")
    for r in rows:
        if r["accepted"] and not r["same"]:
            print(f"\nto be read: {r['project']} {r['what']}\n{r['diff']}")


# several bugs at once ------------------------------------------------------------------------------------


def together(project: Project, args: argparse.Namespace) -> Iterator[dict]:
    """Cases of three bugs in three files; as many as can be found that break tests without breaking everything."""
    by_path: dict[str, list[Bug]] = defaultdict(list)
    for path, bug in _pool(project, args.seed):
        by_path[path].append(bug)
    found = 0
    if len(by_path) < FAULTS:
        print(f"{project.name}: fewer than {FAULTS} source files", flush=True)
    for n in range(args.bugs * 4):
        if found < args.bugs and len(by_path) >= FAULTS:
            chosen = _breaking(project, by_path, f"{project.name}{args.seed}{n}")
            row = several(project, chosen, args) if len(chosen) == FAULTS else None
            if row is not None:
                found += 1
                print(f"{row['project']:20} fixed={row['fixed']} wall={row['wall']:5.1f} cpu={row['cpu']:5.1f} {row['what']} {row['log']}", flush=True)  # fmt: skip
                yield row


def _breaking(project: Project, by_path: Mapping[str, list[Bug]], seed: str) -> dict[str, Bug]:
    """One bug in each of three files, each of which breaks some tests by itself."""
    chosen: dict[str, Bug] = {}
    for path in shuffled(sorted(by_path), seed):
        for bug in shuffled(by_path[path], seed)[:4]:
            if len(chosen) < FAULTS and path not in chosen:
                record = with_files(project.case, {path: bug.source.encode()}, project.green)
                red = [i for i in project.green if i in record.results and record.results[i].outcome.red]
                if (
                    red
                    and len(record.results) >= len(project.green)
                    and len(red) <= max(10, 0.1 * len(project.green))
                ):
                    chosen[path] = bug
    return chosen


def several(project: Project, chosen: Mapping[str, Bug], args: argparse.Namespace) -> dict | None:
    originals = {path: (project.case.tree / path).read_bytes() for path in project.sources}
    for path, bug in chosen.items():
        (project.case.tree / path).write_bytes(bug.source.encode())
    wall, cpu, log = 0.0, 0.0, []
    try:
        for _ in range(ROUNDS):
            record, coverage = project.observe()
            broken = project.broken(record)
            if broken is None:
                return None
            clusters = project.clusters(record, coverage, broken) if broken else ()
            log.append(f"{len(broken)} red in {len(clusters)} clusters")
            accepted = 0
            for cluster in clusters[:CLUSTERS]:
                made = repair(
                    project, record, coverage, cluster, set(), broken, deadline=args.deadline, seed=args.seed
                )
                wall, cpu = wall + made.wall, cpu + made.cpu
                log.append(made.label or made.stopped)
                accepted += made.accepted
                for path, data in made.files.items():
                    (project.case.tree / path).write_bytes(data)
            if not accepted:
                break
        what = [f"{path}: {bug.what}" for path, bug in chosen.items()]
        fixed = int(not broken)
        return {"project": project.name, "fixed": fixed, "wall": wall, "cpu": cpu, "what": what, "log": log}
    finally:
        for path, data in originals.items():
            (project.case.tree / path).write_bytes(data)


def together_summary(rows: list[dict]) -> None:
    fixed = sum(r["fixed"] for r in rows)
    walls = statistics.median(r["wall"] for r in rows)
    print(
        f"\n{len(rows)} cases of {FAULTS} bugs: all fixed in {fixed} ({fixed / len(rows):.0%}), median wall {walls:.0f} s"
    )


MODES = {
    "seeded": (seeded, seeded_summary),
    "together": (together, together_summary),
    "warm": (search_warm.compare, search_warm.summary),
}

if __name__ == "__main__":
    raise SystemExit(main())
