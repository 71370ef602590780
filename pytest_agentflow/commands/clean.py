"""`agentflow clean`: remove what dead runs left in the temporary directory, and old runs."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_agentflow.adapters import tree_files, workspaces
from pytest_agentflow.adapters.branch import delete_branch
from pytest_agentflow.adapters.repository import Repository, open_repository
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.report import files
from pytest_agentflow.report.text import count

KEPT = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `agentflow clean`."""
    parser.add_argument("runs", metavar="RUN", nargs="*", help="remove these runs, and no other")
    parser.add_argument(
        "--keep",
        metavar="N",
        type=int,
        default=KEPT,
        help="finished runs to keep, newest first (default: %(default)s)",
    )
    parser.add_argument(
        "--all", action="store_true", help="remove every run, unfinished ones too, and the cache"
    )
    parser.add_argument(
        "--branches", action="store_true", help="remove the branches agentflow/RUN of removed runs too"
    )
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would be removed")


def run(args: argparse.Namespace) -> int:
    """Sweep first: it needs no project. Then the runs of this project, if there is one here."""
    if not args.dry_run:
        for root in workspaces.sweep():
            _say(f"removed the workspaces of a dead run: {root.name}")
    here = Path.cwd()
    try:
        home = files.home(here)
    except AgentflowError:
        if args.runs:
            raise
        _say("No runs here.")
        return 0
    repository = open_repository(here)
    with locked(home):
        doomed = _doomed(args, home, here)
        for directory in doomed:
            _remove(directory, repository if args.branches else None, args.dry_run)
        if args.all and (home / "cache").is_dir():
            _say(f"{_verb(args.dry_run)} the cache")
            if not args.dry_run:
                tree_files.remove(home / "cache")
    kept = len(files.runs(home)) - (len(doomed) if args.dry_run else 0)
    _say(f"{count(max(kept, 0), 'run')} kept in {home}")
    return 0


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """The lock that a run holds: nothing is removed or restored under its feet."""
    lock = FileLock(str(home / "lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise AgentflowError(f"A run works in {home}.", "Wait for it, or stop it with Ctrl-C.") from None
    try:
        yield
    finally:
        lock.release()


def _doomed(args: argparse.Namespace, home: Path, here: Path) -> list[Path]:
    """Runs that never got a journal always go; unfinished ones can be resumed, so they stay unless named or --all."""
    if args.runs:
        return [files.find(here, name) for name in args.runs]
    known = files.runs(home)
    broken = [place for place in sorted((home / "runs").iterdir()) if place.is_dir() and place not in known]
    if args.all:
        return broken + known
    finished = [place for place in known if _finished(place)]
    return broken + finished[: max(0, len(finished) - max(args.keep, 0))]


def _finished(directory: Path) -> bool:
    """A run whose journal was damaged is evidence: it goes by name or with --all only."""
    try:
        return files.load(directory).finished
    except AgentflowError:
        return False


def _remove(directory: Path, repository: Repository | None, dry: bool) -> None:
    size = sum(p.lstat().st_size for p in directory.rglob("*") if p.is_file())
    _say(f"{_verb(dry)} run {directory.name} ({size / 1e6:.1f} MB)")
    if dry:
        return
    tree_files.remove(directory)
    if repository and delete_branch(repository, f"agentflow/{directory.name}"):
        _say(f"removed branch agentflow/{directory.name}")


def _verb(dry: bool) -> str:
    return "would remove" if dry else "removed"


def _say(text: str) -> None:
    width = shutil.get_terminal_size((100, 24)).columns
    sys.stdout.write(
        (text if len(text) <= width or not sys.stdout.isatty() else text[: width - 1] + "…") + "\n"
    )
