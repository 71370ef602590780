"""`agentflow baseline write|update|show`: the record of what the base branch's tests do, kept small and reviewable."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from pytest_agentflow.adapters import gate_files
from pytest_agentflow.commands.gate import usage_ends_with_3
from pytest_agentflow.core.gate import baseline as baselines
from pytest_agentflow.core.gate.baseline import Baseline, Entry, Step
from pytest_agentflow.core.gate.policy import floored
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.report.gate_text import visible
from pytest_agentflow.stages.gate import bad, baseline_of, read_all
from pytest_agentflow.stages.gate_options import add_reading

DEFAULT = ".agentflow-baseline.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("write", "update", "show"), help="write: from scratch; update: take over only what makes the gate stricter; show: count it")  # fmt: skip
    parser.add_argument(
        "reports", nargs="*", metavar="[CELL=]REPORT", help="JUnit XML files of the base branch"
    )
    parser.add_argument("--baseline", metavar="FILE", default=DEFAULT, help="default: %(default)s")
    parser.add_argument("--accept", metavar="TEST", action="append", default=[], help="update: also take over a loosening of this test (a removal, a new failure, a skip)")  # fmt: skip
    parser.add_argument("--accept-all", action="store_true", help="update: take over everything")
    parser.add_argument("--dry-run", action="store_true", help="show the difference, write nothing")
    add_reading(parser)
    usage_ends_with_3(parser, "baseline")


def run(args: argparse.Namespace) -> int:
    """0 done, 1 loosenings were left out, 2 a report cannot be judged, 3 usage."""
    path = Path(args.baseline)
    if args.action == "show":
        found = gate_files.read_baseline(path)
        if found is None:
            raise bad(f"there is no baseline {path}", "write it with `agentflow baseline write REPORT.xml`")
        _say(_counts(found))
        return 0
    if not args.reports:
        raise bad("no report was given", "name the base branch's JUnit XML files")
    reports = read_all(args.reports, args.oracle, args.source)
    problems = [problem.text for report in reports for problem in report.problems if problem.fatal]
    if problems:
        raise AgentflowError(f"no baseline from a report that cannot be trusted: {problems[0]}", "", 2)
    fresh = baseline_of(reports, args.source or ".")
    old = gate_files.read_baseline(path) if args.action == "update" else None
    left = 0
    if old is not None:
        fresh, left = _updated(old, fresh, frozenset(args.accept), everything=args.accept_all)
    if not args.dry_run:
        _write(path, baselines.to_text(fresh))
    _say([f"{'would write' if args.dry_run else 'wrote'} {path}", *_counts(fresh)])
    return 1 if left else 0


def _updated(
    old: Baseline, fresh: Baseline, accepted: frozenset[str], *, everything: bool
) -> tuple[Baseline, int]:
    cells: dict[str, Mapping[str, Entry]] = dict(old.cells)
    left = 0
    for cell, entries in fresh.cells.items():
        before = old.cells.get(cell, {})
        wanted = accepted | (entries.keys() | before.keys() if everything or not before else frozenset())
        cells[cell] = baselines.tightened(before, entries, frozenset(wanted))
        steps = baselines.difference(before, entries)
        _say(_step(step, cell, taken=not step.loosens or step.identity in wanted) for step in steps)
        left += sum(step.loosens and step.identity not in wanted for step in steps)
    if left:
        _say([f"{left} loosening(s) left out; accept them by name with --accept TEST"])
    return Baseline(cells), left


def _step(step: Step, cell: str, *, taken: bool) -> str:
    label = f"[{visible(cell)}] " if cell else ""
    return f"{'  ' if taken else '! left out: '}{label}{visible(step.identity)}: {step.what}"


def _counts(found: Baseline) -> list[str]:
    lines = []
    for cell, entries in sorted(found.cells.items()):
        states = sorted({e.state.value for e in entries.values()})
        parts = ", ".join(f"{sum(e.state == s for e in entries.values())} {s}" for s in states)
        rate = found.rate(cell)
        lines.append(f"{visible(cell) + ': ' if cell else ''}{len(entries)} tests ({parts})" + (f", rate {floored(rate)} %" if rate is not None else ""))  # fmt: skip
    return lines


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
    except OSError as error:
        raise AgentflowError(f"cannot write {path}: {error.strerror}", "check the path", 3) from None
