"""What does it cost to lend a workspace, beside git's own ways, and do 16 at once hold?

    python benchmarks/workspaces.py [--files 100 5000] [--repeat 5]

CPU milliseconds (user and system, children included) and wall milliseconds, medians; ratios are of CPU time.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pytest_agentflow.adapters.repository import open_repository
from pytest_agentflow.adapters.snapshot import Snapshot, diff, materialise, take, with_files
from pytest_agentflow.adapters.workspaces import Pool


def git(where: Path, *args: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *args],
        cwd=where,
        check=True,
        capture_output=True,
    )


def cpu() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def timed(action: Callable[[], object]) -> tuple[float, float]:
    before, began = cpu(), time.perf_counter()
    action()
    return (cpu() - before) * 1000, (time.perf_counter() - began) * 1000


def make(top: Path, files: int) -> None:
    for n in range(files):
        place = top / f"pkg{n % 60}" / f"module_{n}.py"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(
            "".join(f"def function_{n}_{i}(x):\n    return x + {i}\n\n" for i in range(20 + n % 50))
        )
    git(top, "init", "-q")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "start")


def edit(place: Path) -> None:
    (place / "pkg1/module_1.py").write_text("x = 1\n")
    (place / "added.py").write_text("y = 2\n")


def measure(top: Path, work: Path, repeat: int) -> dict[str, list[tuple[float, float]]]:
    rows: dict[str, list[tuple[float, float]]] = {}
    repo = open_repository(top)
    base = take(repo, work / "store")
    pool = Pool(work / "pool")
    with pool.lease(base, "warm-up") as place:
        edit(place)
    git(top, "worktree", "add", "-q", "--detach", str(work / "reused"))
    time.sleep(0.1)

    def note(name: str, action: Callable[[], object]) -> None:
        rows.setdefault(name, []).append(timed(action))

    def reset() -> None:
        git(work / "reused", "reset", "-q", "--hard")
        git(work / "reused", "clean", "-qfdx")

    def lease(pristine: bool) -> None:
        with pool.lease(base, "x", pristine=pristine) as place:
            edit(place)

    for n in range(repeat):
        note(
            "git worktree add", lambda n=n: git(top, "worktree", "add", "-q", "--detach", str(work / f"w{n}"))
        )
        note(
            "git worktree remove", lambda n=n: git(top, "worktree", "remove", "--force", str(work / f"w{n}"))
        )
        edit(work / "reused")
        note("git reset --hard + clean -fdx", reset)
        note("cp -r", lambda n=n: subprocess.run(["cp", "-r", top, work / f"c{n}"], check=True))
        shutil.rmtree(work / f"c{n}")
        note("ours: snapshot of the working tree", lambda n=n: take(repo, work / f"store{n}"))
        shutil.rmtree(work / f"store{n}")
        note("ours: fresh copy", lambda n=n: materialise(base, work / f"m{n}"))
        note("ours: diff", lambda n=n: diff(base, work / f"m{n}"))
        shutil.rmtree(work / f"m{n}")
        note("ours: pooled lease", lambda: lease(False))
        note("ours: pooled lease, every byte compared", lambda: lease(True))
    pool.close()
    return rows


def at_once(top: Path, work: Path, rounds: int) -> tuple[int, int]:
    """Failures of 16 concurrent leases and of 16 concurrent `git worktree add`."""
    base = take(open_repository(top), work / "store")
    pool = Pool(work / "many")
    trees: list[Snapshot] = [with_files(base, {"pkg1/module_1.py": b"n = %d\n" % n}) for n in range(16)]

    def ours(n: int) -> bool:
        with pool.lease(trees[n], str(n)) as place:
            return (
                diff(trees[n], place).text == ""
                and (place / "pkg1/module_1.py").read_bytes() == b"n = %d\n" % n
            )

    def theirs(place: Path) -> bool:
        argv = ["git", "worktree", "add", "-q", "--detach", place]
        return subprocess.run(argv, cwd=top, capture_output=True, check=False).returncode == 0

    failures = [0, 0]
    for turn in range(rounds):
        with ThreadPoolExecutor(16) as threads:
            failures[0] += sum(not ok for ok in threads.map(ours, range(16)))
            places = [work / f"t{turn}-{n}" for n in range(16)]
            failures[1] += sum(not ok for ok in threads.map(theirs, places))
        for place in places:
            shutil.rmtree(place, ignore_errors=True)
        git(top, "worktree", "prune")
    pool.close()
    return failures[0], failures[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[100, 5000])
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    print(f"{os.cpu_count()} cores, {sys.platform}, Python {sys.version.split()[0]}")
    for files in args.files:
        with tempfile.TemporaryDirectory(prefix="workspaces-") as directory:
            work = Path(directory)
            make(work / "project", files)
            rows = measure(work / "project", work, args.repeat)
            fresh = statistics.median(c for c, _ in rows["git worktree add"])
            print(f"\n{files} files | CPU ms | wall ms | CPU against `git worktree add`\n---|---|---|---")
            for name, values in rows.items():
                middle = [statistics.median(v) for v in zip(*values, strict=True)]
                print(f"{name} | {middle[0]:.0f} | {middle[1]:.0f} | 1/{fresh / max(middle[0], 0.1):.1f}")
            rounds = 20 if files <= 500 else 2
            mine, theirs = at_once(work / "project", work, rounds)
            print(
                f"16 at once, {rounds} rounds: failures of ours {mine}, of `git worktree add` {theirs} (of {16 * rounds})",
                flush=True,
            )


if __name__ == "__main__":
    main()
