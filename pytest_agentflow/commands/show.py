"""What happened in a run: its summary, its accepted patches, one attempt, or everything as JSON."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.report import files, terminal, transcript_json
from pytest_agentflow.report.model import AttemptReport, RunReport
from pytest_agentflow.report.text import colour_wanted, never_fail, percent, visible


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `agentflow show`."""
    parser.add_argument(
        "run_id", metavar="RUN", nargs="?", default="", help="run id or its beginning (default: the last run)"
    )
    parser.add_argument("--attempt", metavar="ID", help="one attempt, such as r1-a2")
    parser.add_argument("--diff", action="store_true", help="the accepted patches, as `git apply` takes them")
    parser.add_argument("--json", action="store_true", help="as JSON (docs/reference/transcript.md)")
    parser.add_argument("--list", action="store_true", help="one line per run")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="every target, no line cut")


def run(args: argparse.Namespace) -> int:
    """Print what was asked for; 0 unless there is nothing to show."""
    never_fail(sys.stdout)
    if args.list:
        return _list(Path.cwd())
    directory = files.find(Path.cwd(), args.run_id)
    report = files.load(directory)
    attempt = _attempt(report, args.attempt) if args.attempt else None
    if args.diff:
        _write_patch(attempt.patch if attempt else files.accepted_patches(directory, report))
    elif args.json:
        _write(json.dumps(asdict(attempt), indent=2) if attempt else transcript_json.render(report).rstrip())
    elif attempt:
        _write(terminal.attempt(attempt, _paper(args.verbose)))
    else:
        transcript = directory / "transcript.html"
        _write(
            terminal.summary(
                report, _paper(args.verbose), files.from_here(transcript) if transcript.exists() else ""
            )
        )
    return 0


def _attempt(report: RunReport, name: str) -> AttemptReport:
    found = report.attempt(name)
    if found is None:
        known = ", ".join(a.id for a in report.attempts[:12]) or "none"
        raise AgentflowError(f"Run {report.run} has no attempt {name!r}.", f"It has: {known}.")
    return found


def _list(start: Path) -> int:
    for directory in files.runs(files.home(start)):
        report = files.load(directory)
        rates = [percent(r.passed, r.total) for r in (report.before, report.after) if r]
        end = f"exit {report.exit_code}" if report.finished else "unfinished"
        words = [directory.name, " -> ".join(dict.fromkeys(rates)) or "n/a", end, report.stop_reason]
        _write(visible("  ".join(words).rstrip()))
    return 0


def _paper(verbose: int) -> terminal.Paper:
    return terminal.Paper(
        shutil.get_terminal_size((80, 24)).columns, colour_wanted(sys.stdout, os.environ), verbose
    )


def _write_patch(patch: str) -> None:
    """For people on a terminal with colour and nothing hidden; for a program byte for byte."""
    if sys.stdout.isatty():
        _write("\n".join(terminal.diff(patch, _paper(0))))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(patch.encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()


def _write(text: str) -> None:
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # `agentflow show | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
