"""How far does the search get on real bugs: the source of a release under the tests of the next bug-fix release?

    python benchmarks/search_history.py LIST --sdists DIR [--only NAME] [--python PY]

LIST holds lines `project old new`, as for localisation_history.py. A target passes with the new source and fails with the
old one. A quarter of the targets and of the covering tests is hidden from everybody: an accepted patch that fails one of
those is `wrong`; one that breaks a test which passes with both sources is `harm`. With --contradictions the search does not
run: asked is only, of every cluster, whether its tests are said to contradict tests that pass. One that is said to is a false
alarm, since the next release satisfies them all.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from localisation_history import sources, unpack, write
from oracle_cases import git
from search_harness import with_files
from search_projects import Project, Repair, all_green, repair, unseen

from pytest_agentflow.adapters import snapshot
from pytest_agentflow.adapters.repository import open_repository
from pytest_agentflow.adapters.workspaces import Pool
from pytest_agentflow.core.model import Attempt, Cluster, SessionRecord
from pytest_agentflow.core.scope import ScopePolicy
from pytest_agentflow.stages.contradict import contradict
from pytest_agentflow.stages.verify import VerifyContext

CLUSTERS = 4
TARGETS = 40  # a pair with more failing tests is a changed interface, not a bug


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("list", type=Path)
    parser.add_argument("--sdists", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--only", default="")
    parser.add_argument("--deadline", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--all-guards",
        action="store_true",
        help="hide targets only: as in the product, where the oracle runs every test that passed",
    )
    parser.add_argument(
        "--contradictions", action="store_true", help="ask for these alone, without searching"
    )
    args = parser.parse_args()
    rows = []
    for text in args.list.read_text().splitlines():
        if text.startswith("#") or args.only not in text:
            continue
        found = pair(*text.split(), args)
        rows += [found] if isinstance(found, dict) else []
        print(f"{text}: {found if isinstance(found, str) else line(found)}", flush=True)
        if args.json:
            args.json.write_text(json.dumps(rows, indent=1))
    if rows and not args.contradictions:
        summary(rows)
    return 0


def pair(name: str, old: str, new: str, args: argparse.Namespace) -> dict | str:
    """One pair: what the agent made of it, or why it says nothing."""
    with tempfile.TemporaryDirectory(prefix="history-") as directory:
        top = Path(directory)
        before, tree = (
            unpack(args.sdists, name, old, top / "old"),
            unpack(args.sdists, name, new, top / "new"),
        )
        if before is None or tree is None:
            return "not available as source distribution"
        project = Project(f"{name} {old}", tree, top / "scratch", python=args.python)
        if project.problem:
            return project.problem[:200]
        a, b = sources(before), sources(tree)
        write(tree, a, sorted({*a, *b}))
        record, coverage = project.observe()
        targets = [i for i in project.green if i in record.results and record.results[i].outcome.red]
        if not targets or len(targets) > TARGETS:
            return f"{len(targets)} tests tell the releases apart"
        project.green = [i for i in project.green if i in record.results]
        changed = {p for p in {*a, *b} if a.get(p) != b.get(p)}
        hidden = unseen(project, coverage, changed, targets)
        if args.all_guards:
            hidden &= set(targets)
        made = []
        began = time.monotonic()
        clusters = project.clusters(record, coverage, targets, hidden)
        if args.contradictions:
            told = contradicting(project, record, clusters[:CLUSTERS], targets, top / "judge")
            return f"{len(clusters[:CLUSTERS])} clusters, {sum(map(bool, told))} said to be contradicted {[w for w in told if w]}"
        located = time.monotonic() - began
        for cluster in clusters[:CLUSTERS]:
            if set(cluster.targets) - hidden:
                made.append(
                    repair(project, record, coverage, cluster, hidden, targets, deadline=args.deadline)
                )
        told = row(project, targets, hidden, made)
        return {**told, "wall": told["wall"] + located}


def contradicting(
    project: Project, record: SessionRecord, clusters: Sequence[Cluster], targets: Sequence[str], place: Path
) -> list[str]:
    """What each cluster's targets are said to demand that passing tests cannot live with, asked as in the product."""
    repository = place / "repo"
    shutil.copytree(project.case.tree, repository, symlinks=True)
    git("init", "-q", "-b", "main", cwd=repository)
    git("add", "-A", "-f", cwd=repository)
    git("commit", "-qm", "base", cwd=repository)
    base = snapshot.take(open_repository(repository), place / "base.git")
    guards = tuple(i for i in project.green if i not in targets)
    with closing(Pool(place / "pool")) as pool:
        context = VerifyContext(
            spec=project.case.spec,
            base=base,
            baseline=record.results,
            scope=ScopePolicy(tuple(project.sources)),
            pool=pool,
            scratch=place / "scratch",
        )
        found = []
        for n, cluster in enumerate(clusters):
            attempt = Attempt(
                id=f"r1-a{n}", round=1, cluster=cluster.id, agent="search", retry=0, seed=0, base=base.tree,
                visible=tuple(cluster.targets), hidden_choose=(), hidden_judge=(), guards=guards,
            )  # fmt: skip
            found.append("; ".join(c.words() for c in contradict(attempt, context)))
    return found


def row(project: Project, targets: list[str], hidden: set[str], made: list[Repair]) -> dict:
    accepted = [r for r in made if r.accepted]
    wrong = harm = 0
    for repaired in accepted:
        shown = sorted(hidden - (set(targets) - set(repaired.cluster.targets)))
        wrong += not all_green(with_files(project.case, repaired.files, shown), shown) if shown else 0
        guards = [i for i in project.green if i not in targets]
        harm += not all_green(with_files(project.case, repaired.files, guards), guards)
    return {
        "project": project.name,
        "targets": len(targets),
        "attempts": len(made),
        "accepted": len(accepted),
        "wrong": wrong,
        "harm": harm,
        "labels": [r.label for r in made],
        "stopped": [r.stopped for r in made],
        "tried": sum(r.tried for r in made),
        "wall": sum(r.wall for r in made),
        "cpu": sum(r.cpu for r in made),
    }


def line(row: dict) -> str:
    return (
        f"targets={row['targets']:2} attempts={row['attempts']} accepted={row['accepted']} wrong={row['wrong']}"
        f" harm={row['harm']} tried={row['tried']} wall={row['wall']:.0f} {row['labels']} {row['stopped']}"
    )


def summary(rows: list[dict]) -> None:
    total = {k: sum(r[k] for r in rows) for k in ("attempts", "accepted", "wrong", "harm")}
    some = sum(r["accepted"] > 0 for r in rows)
    print(
        f"\n{len(rows)} pairs of {len({r['project'].split()[0] for r in rows})} projects, {total}; pairs with an accepted patch {some}"
    )
    print(f"median wall of a pair {statistics.median(r['wall'] for r in rows):.0f} s")


if __name__ == "__main__":
    raise SystemExit(main())
