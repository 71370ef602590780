"""`agentflow triage REPORT.xml…`: which tests have been flaky in CI, by the JUnit files it left?"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from pytest_agentflow.adapters import history, junit_history
from pytest_agentflow.core.flaky_stats import bound_without_failure, spurious_red
from pytest_agentflow.core.history import PastRun, PastTest, study
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.report.text import count, visible


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `agentflow triage`."""
    parser.add_argument(
        "reports", nargs="*", type=Path, metavar="REPORT", help="JUnit files, or folders of them"
    )
    parser.add_argument(
        "--commit", default="", metavar="SHA", help="the commit that all reports are of which name none"
    )
    parser.add_argument("--history", action="store_true", help="also what .agentflow/history here remembers")
    parser.add_argument(
        "--top", type=int, default=20, metavar="N", help="how many tests are listed (default: 20)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON (docs/reference/flaky-triage.md)")


def run(args: argparse.Namespace) -> int:
    """0: nothing flaky; 1: something is; 2: nothing could be read."""
    if not args.reports and not args.history:
        raise AgentflowError("no reports were named", "name JUnit files or folders, or use --history")
    runs, problems = junit_history.read(args.reports, args.commit)
    if args.history:
        runs += list(history.read(Path.cwd() / ".agentflow"))
    for problem in problems:
        print(f"agentflow triage: {visible(problem)}", file=sys.stderr)  # noqa: T201 - the console is this module's job
    if not runs:
        return 2
    tests = study(runs)
    flaky = [t for t in tests if t.flaky]
    if args.json:
        sys.stdout.write(_document(tests, flaky, runs, problems))
    else:
        sys.stdout.write(_text(tests, flaky, runs, args.top))
    return int(bool(flaky))


def _text(tests: tuple[PastTest, ...], flaky: list[PastTest], runs: list[PastRun], top: int) -> str:
    unexplained = [t for t in tests if t.unexplained]
    also = f", {count(len(unexplained), 'unexplained flip')}" if unexplained else ""
    lines = [
        f"{count(len(runs), 'run')} of {count(len(tests), 'test')}: {count(len(flaky), 'flaky test')}{also}"
    ]
    skipped = sum(r.infrastructure for r in runs)
    if skipped:
        lines.append(
            f"{count(skipped, 'run')} left out: more than 80 % failed, so they say nothing about single tests"
        )
    for number, test in enumerate(flaky[:top], 1):
        how = [f"both verdicts on {count(len(test.flipped_trees), 'commit')}"] if test.flipped_trees else []
        how += [f"passed on a retry {count(test.retried_green, 'time')}"] if test.retried_green else []
        lines.append(
            f"{number:3}. {visible(test.nodeid)}  {_rate(test)}; {', '.join(how)}; green for {count(test.streak, 'run')}"
        )
    if len(flaky) > top:
        lines.append(f"     … and {len(flaky) - top} more (--top, --json)")
    lines += _unexplained(unexplained, runs, top) if unexplained else []
    broken = [t for t in tests if t.broken]
    if broken:
        lines.append(
            f"fails whenever it runs, so not flaky: {', '.join(visible(t.nodeid) for t in broken[:5])}"
        )
    if flaky:
        rates = sorted((t.failures / t.runs for t in flaky), reverse=True)
        lines.append(
            f"chance that flaky tests alone turn a run red: {spurious_red(rates):.1%}; "
            f"after fixing the worst 3: {spurious_red(rates[3:]):.1%}"
        )
    quiet = [t for t in tests if not t.failures]
    if quiet:
        fewest = min(t.runs for t in quiet)
        lines.append(
            f"{count(len(quiet), 'test')} never failed: each p < {bound_without_failure(fewest):.0%} with 95 % confidence "
            f"after {count(fewest, 'run')} or more"
        )
    return "\n".join(lines) + "\n"


def _rate(test: PastTest) -> str:
    return f"fails {test.failures} of {test.runs} (95 %: {test.low:.1%} to {test.high:.1%})"


def _unexplained(tests: list[PastTest], runs: list[PastRun], top: int) -> list[str]:
    """Which tests have both verdicts, why that is no evidence yet, and what would make it some."""
    lines = [
        f"unexplained: {count(len(tests), 'test')} passed in one run and failed in another, but "
        f"{sum(not r.tree for r in runs)} of {count(len(runs), 'run')} name no commit, and changed code may be the reason"
    ]
    lines += [f"     ? {visible(t.nodeid)}  {_rate(t)}" for t in tests[:top]]
    if len(tests) > top:
        lines.append(f"     … and {len(tests) - top} more (--top, --json)")
    return [
        *lines,
        "     if the reports that name no commit are all of one: --commit SHA; else have each name its own, as a property "
        "`commit` (pytest: the fixture record_testsuite_property)",
    ]


def _document(
    tests: tuple[PastTest, ...], flaky: list[PastTest], runs: list[PastRun], problems: list[str]
) -> str:
    data = {
        "version": 1,
        "kind": "agentflow-history",
        "runs": len(runs),
        "runs_left_out": sum(r.infrastructure for r in runs),
        "runs_without_commit": sum(not r.tree for r in runs),
        "unreadable": problems,
        "flaky": [asdict(t) for t in flaky],
        "unexplained": [asdict(t) for t in tests if t.unexplained],
        "broken": [t.nodeid for t in tests if t.broken],
        "tests": len(tests),
    }
    return json.dumps(data, indent=1) + "\n"
