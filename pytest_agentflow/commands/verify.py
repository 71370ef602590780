"""`agentflow verify RUN`: is the journal what was written, and do its verdicts hold without a model?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pytest_agentflow.report.files import find


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_id",
        metavar="RUN",
        nargs="?",
        default="",
        help="run id, or a run's directory (default: the last run)",
    )
    parser.add_argument(
        "--no-execute", action="store_true", help="check chain and evidence only; run no test"
    )


def run(args: argparse.Namespace) -> int:
    """0: everything holds; 1: something was altered or does not hold any more."""
    from pytest_agentflow.stages.reverify import reverify

    checks = reverify(find(Path.cwd(), args.run_id), execute=not args.no_execute, say=_say)
    wrong = [c for c in checks if not c.agrees]
    for check in checks:
        mark = "ok " if check.agrees else "NOT"
        detail = "" if check.agrees else f", now {check.again}: {check.reason}"
        _say(f"{mark} {check.attempt}: {check.recorded} ({check.how}){detail}")
    _say(f"{len(checks) - len(wrong)} of {len(checks)} checks agree")
    return 1 if wrong else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
