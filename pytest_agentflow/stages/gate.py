"""From command line to `Brief`: which files are read, and what do they say?"""

from __future__ import annotations

import argparse
import glob
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path

from pytest_agentflow.adapters import gate_bodies, gate_changes, gate_files, oracle_files
from pytest_agentflow.adapters.junit import read_report
from pytest_agentflow.adapters.oracle_files import GENERIC, Oracle
from pytest_agentflow.core.gate.baseline import Baseline, Entry, entry, with_bodies_of
from pytest_agentflow.core.gate.edits import RuleChange
from pytest_agentflow.core.gate.identity import canonical
from pytest_agentflow.core.gate.judge import Brief, Exit, Floor
from pytest_agentflow.core.gate.policy import Policy, percent, places
from pytest_agentflow.core.gate.quarantine import Quarantine
from pytest_agentflow.core.gate.records import Problem, Report
from pytest_agentflow.core.gate.standing import settle
from pytest_agentflow.errors import AgentflowError

_PYTEST_EXITS = {
    2: "the run was interrupted, or collection failed",
    3: "pytest had an internal error",
    4: "pytest was used wrongly",
    5: "pytest collected no tests",
}


def gather(args: argparse.Namespace) -> Brief:
    """Read everything that was named. Raises AgentflowError for what is wrong with the rules, never for a report."""
    if not args.reports:
        raise bad("no report was given", "name at least one JUnit XML file")
    today = date.today().toordinal()  # an expiry date means the reader's own day
    reports = read_all(args.reports, args.oracle, args.source, census=bool(args.collected))
    baseline, gaps, notes = _baseline(args)
    changed, rule_changes = _changes(args, today)
    policy = policy_of(args, baseline)
    if not policy.threshold:
        notes.append("the threshold is 0: no rate is too low")
    quarantine = Quarantine({})
    if args.quarantine:
        quarantine = gate_files.read_quarantine(Path(args.quarantine), today, args.quarantine_cap)
    source = args.source or ("." if args.base else None)
    names = {case.identity for report in reports for case in report.cases} if source else set()
    return Brief(
        reports, policy, today, baseline, quarantine,
        gate_files.read_collected(Path(args.collected)) if args.collected else None,
        _history(args.history or (), args.oracle), _exits(args, reports), changed, rule_changes, args.approve or (),
        _floors(args), gate_bodies.bodies(names, Path(source)) if source else {}, _instant(args.started),
        args.commit or "", tuple(args.expected_cell or ()), gaps, notes,
    )  # fmt: skip


def bad(cause: str, step: str = "see agentflow gate --help") -> AgentflowError:
    return AgentflowError(cause, step, exit_code=3)


def read_all(
    arguments: Sequence[str], oracle: str | None, source: str | None = None, *, census: bool = False
) -> list[Report]:
    """`[CELL=]PATH` or a glob each. The same path twice is one report. `census`: a list of the collected tests will tell what is lost."""
    found: dict[tuple[str, str], Report] = {}
    for cell, name in _expanded(arguments):
        if (cell, name) not in found:
            report = read_report(Path(name), oracle, source=name, cell=cell)
            found[cell, name] = report if census else _whole(report, Path(source or "."))
    return list(found.values())


def _whole(report: Report, source: Path) -> Report:
    """More tests counted than there are cases: fine where the tests have subtests, else a gap."""
    if report.surplus is None or gate_bodies.have_subtests((c.identity for c in report.cases), source):
        return report
    return replace(report, problems=(*report.problems, report.surplus))


def _expanded(arguments: Iterable[str]) -> Iterator[tuple[str, str]]:
    for argument in arguments:
        cell, equals, rest = argument.partition("=")
        named = bool(equals) and not Path(argument).exists() and "/" not in cell and bool(rest)
        path = rest if named else argument
        matches = (
            sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - absolute patterns too
            if glob.has_magic(path) and not Path(path).exists()
            else []
        )
        for name in matches or [path]:
            yield cell if named else "", name


def policy_of(args: argparse.Namespace, baseline: Baseline | None) -> Policy:
    text = args.pass_threshold or "100"
    threshold = _ratchet(baseline) if text == "base" else percent(text)
    if threshold is None:
        raise bad(f"--pass-threshold {text!r} is no percentage from 1 to 100 (or 0)", "write it like 99.8")
    accepted = frozenset(args.accept or ()) | (
        gate_files.read_names(Path(args.accepted)) if args.accepted else frozenset()
    )
    given = {
        key: getattr(args, key)
        for key in ("new_only", "strict_baseline", "flaky", "max_flaky", "flaky_passes", "max_new_failures", "max_new_skips", "skips", "expected_shards")
        if getattr(args, key) is not None
    }  # fmt: skip
    if given.get("expected_shards") == 0:
        raise bad("--expected-shards 0 would expect nothing")
    return replace(Policy(threshold, 2 if text == "base" else places(text), accepted=accepted), **given)


def _ratchet(baseline: Baseline | None) -> Fraction:
    """The base branch's own rate; without one there is nothing to fall below yet, so everything must pass."""
    rates = [baseline.rate(cell) for cell in baseline.cells] if baseline is not None else []
    known = [rate for rate in rates if rate is not None]
    return min(known) * 100 if known else Fraction(100)


def _baseline(args: argparse.Namespace) -> tuple[Baseline | None, list[Problem], list[str]]:
    if args.baseline and args.baseline_report:
        raise bad("--baseline and --baseline-report exclude each other")
    if args.baseline_report:
        reports = read_all(args.baseline_report, args.oracle, args.source)
        gaps = [replace(p, text=f"base branch: {p.text}") for r in reports for p in r.problems if p.fatal]
        return baseline_of(reports, args.source), gaps, []
    if not args.baseline:
        if args.require_baseline:
            raise bad("--require-baseline needs --baseline or --baseline-report")
        return None, [], []
    found = gate_files.read_baseline(Path(args.baseline))
    if found is None and args.require_baseline:
        raise bad(f"there is no baseline {args.baseline}", "write it with `agentflow baseline write`")
    if found is None:
        return None, [], [f"there is no baseline {args.baseline} yet: judged by the threshold alone"]
    return (_trusted(found, args) if args.base else found), [], []


def baseline_of(reports: Sequence[Report], source: str | None) -> Baseline:
    """A baseline made from reports, cell by cell."""
    cells: dict[str, Mapping[str, Entry]] = {}
    for cell in sorted({report.cell for report in reports}):
        standings = settle([r for r in reports if r.cell == cell])
        hashes = gate_bodies.bodies(standings, Path(source)) if source else {}
        cells[cell] = {
            name: entry(s, hashes.get(name, ""))
            for name, s in standings.items()
            if s.cause not in ("collection", "suite")
        }
    return Baseline(cells)


def _changes(args: argparse.Namespace, today: int) -> tuple[frozenset[str] | None, list[RuleChange]]:
    if args.base and args.changed_files:
        raise bad("--base and --changed-files exclude each other")
    if not args.base and not args.changed_files:
        return None, []
    top = gate_changes.top_of(Path.cwd()) if args.base else Path.cwd()
    changed = (
        gate_changes.changed_since(args.base, top)
        if args.base
        else gate_files.read_names(Path(args.changed_files))
    )
    return changed, gate_changes.rule_changes(
        changed, _rule_files(args, top), top=top, base=args.base, today=today
    )


def _rule_files(args: argparse.Namespace, top: Path) -> dict[str, str]:
    """The gate's own files that are in the repository, with what kind of rules they hold."""
    named = [
        ("baseline", args.baseline), ("quarantine", args.quarantine), ("removals", args.accepted), ("configuration", args.config),
        ("input", args.collected), ("input", args.oracle if args.oracle and args.oracle.endswith(".toml") else None),
        *(("input", path) for path in (args.history or ())),
        *(("input", path) for _, path in _expanded(args.baseline_report or ())),
    ]  # fmt: skip
    return {place: kind for kind, path in named if (place := _relative(path, top))}


def _trusted(baseline: Baseline, args: argparse.Namespace) -> Baseline:
    """Which test has which body is taken from the base branch's copy of the file, where there is one."""
    top = gate_changes.top_of(Path.cwd())
    place = _relative(args.baseline, top)
    text = gate_changes.text_at(place, args.base, top) if place else None
    if text is None:
        return baseline
    try:
        return with_bodies_of(baseline, gate_files.baseline_from(text, args.baseline))
    except AgentflowError:  # it is repaired by this change: a rule change that blocks
        return with_bodies_of(baseline, Baseline())


def _relative(path: str | None, top: Path) -> str:
    if not path:
        return ""
    try:
        return Path(path).resolve().relative_to(top.resolve()).as_posix()
    except ValueError:
        return ""  # outside the repository: no change of it can edit this file


def _history(paths: Sequence[str], oracle: str | None) -> dict[str, tuple[bool, ...]]:
    """Per test, whether it failed in each earlier run, oldest first. A folder is one run if it holds reports directly."""
    runs: dict[str, list[bool]] = {}
    for files in _runs(paths):
        reports = [read_report(file, oracle) for file in files]
        for name, standing in settle(reports).items():
            runs.setdefault(canonical(name), []).append(standing.failed_once)
    return {name: tuple(outcomes) for name, outcomes in runs.items()}


def _runs(paths: Sequence[str]) -> Iterator[list[Path]]:
    for text in paths:
        path = Path(text)
        if not path.exists():
            raise bad(f"--history {text}: there is no such file or folder")
        if path.is_file():
            yield [path]
            continue
        folders = sorted(p for p in path.iterdir() if p.is_dir())
        yield from ([file] for file in sorted(path.glob("*.xml")))
        yield from (found for folder in folders if (found := sorted(folder.glob("**/*.xml"))))


def _exits(args: argparse.Namespace, reports: Sequence[Report]) -> list[Exit]:
    producers = {report.producer for report in reports if report.producer}
    oracle = (
        oracle_files.find(args.oracle or producers.pop()) if args.oracle or len(producers) == 1 else GENERIC
    )
    found = []
    for text in args.exit or ():
        cell, equals, code = text.rpartition("=")
        digits = code.removeprefix("-")
        if not digits.isdecimal() or len(digits) > 10:
            raise bad(f"--pytest-exit {text!r} is no exit code")
        found.append(Exit(int(code), _meaning(int(code), oracle), cell if equals else ""))
    return found


def _meaning(code: int, oracle: Oracle) -> str:
    if code in oracle.passed_exits:
        return "passed"
    if code in oracle.failed_exits:
        return "failed"
    if code < 0 or code > 128:
        return f"killed by signal {-code if code < 0 else code - 128}"
    return _PYTEST_EXITS.get(code, "not an exit code of pytest") if oracle.name == "pytest" else f"not an exit code that {oracle.title} has for failed tests"  # fmt: skip


def _floors(args: argparse.Namespace) -> list[Floor]:
    if bool(args.coverage) != bool(args.coverage_floor):
        raise bad("--coverage and --coverage-floor go together")
    if not args.coverage:
        return []
    least = percent(args.coverage_floor)
    if least is None:
        raise bad(f"--coverage-floor {args.coverage_floor!r} is no percentage from 1 to 100 (or 0)")
    covered, total = gate_files.read_coverage(Path(args.coverage))
    return [Floor("coverage", covered, total, least)]


def _instant(text: str | None) -> float | None:
    """Seconds since the epoch, from the same or from ISO 8601."""
    if not text:
        return None
    try:
        if text.replace(".", "", 1).isdecimal():
            return float(text)
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise bad(f"--started {text!r} is no time", "write it like 2026-11-21T10:00:00Z") from None
