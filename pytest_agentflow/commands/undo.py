"""`agentflow undo [RUN]`: take a run's changes out of the working tree again, unless a file was edited since."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pytest_agentflow.adapters import delivery
from pytest_agentflow.adapters.repository import open_repository
from pytest_agentflow.commands.clean import locked
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.report import files

RECORD = "delivery.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `agentflow undo`."""
    parser.add_argument(
        "run_id",
        metavar="RUN",
        nargs="?",
        default="",
        help="run id or its beginning (default: the last delivery)",
    )


def run(args: argparse.Namespace) -> int:
    """Restore the bytes from before the run, all or nothing; 0 when they are back."""
    here = Path.cwd()
    home = files.home(here)
    repository = open_repository(here)
    with locked(home):
        delivery.recover_all(
            repository, home / "runs"
        )  # an undo that was killed half-way is finished or forgotten first
        record = _record(home, here, args.run_id)
        undone = delivery.undo(repository, record)
    for path in undone.files:
        sys.stdout.write(f"restored {path}\n")
    count = len(undone.files)
    branch = f"agentflow/{record.parent.name}"
    sys.stdout.write(
        f"{count} file{'s' * (count != 1)} back as before run {record.parent.name}; its branch {branch} stays.\n"
    )
    return 0


def _record(home: Path, here: Path, wanted: str) -> Path:
    """The named run's record, or that of the last run whose changes are in the tree."""
    if wanted:
        return files.find(here, wanted) / RECORD
    records = sorted(
        (home / "runs").glob(f"*/{RECORD}"), key=lambda place: place.stat().st_mtime, reverse=True
    )
    for record in records:
        facts = delivery.summary(record)
        if facts["direction"] == "apply" and facts["state"] in ("done", "committed"):
            return record
    raise AgentflowError(
        "No run's changes are in the working tree.",
        "`agentflow show --list` lists the runs; name one: `agentflow undo RUN`.",
    )
