"""`agentflow map`: which tests reach this line, function or file, and which code does no test reach?"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pytest_agentflow.adapters import coverage_config, coverage_map, map_update, units
from pytest_agentflow.adapters.coverage_map import CoverageMap
from pytest_agentflow.adapters.coverage_records import merge
from pytest_agentflow.core.dark import dark_units
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.report.text import count

SAVED = Path(".agentflow") / "cache" / "coverage.map"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "place", nargs="?", help="FILE, FILE:LINE, FILE:FIRST-LAST or FILE::FUNCTION; without it, a summary"
    )
    parser.add_argument(
        "--dark", action="store_true", help="list the functions that no test reaches, largest first"
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help="run the tests and record first; only what a change can have touched runs again",
    )
    parser.add_argument("--all", action="store_true", help="with --record: run every test again")
    parser.add_argument("--map", type=Path, default=None, help=f"the map to read or write (default: {SAVED})")
    parser.add_argument(
        "--root", action="append", default=[], help="with --record: record only files below this directory"
    )
    parser.add_argument(
        "--subprocesses",
        action="store_true",
        help="with --record: also record the Python processes that tests start",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--pytest-args", default="", help="with --record: further arguments for pytest, as one string"
    )


def run(args: argparse.Namespace) -> int:
    """Record when asked, then answer one question."""
    tree = Path.cwd()
    saved: Path = args.map or tree / SAVED
    failed = _record(args, tree, saved) if args.record else 0
    coverage = _load(saved)
    if args.dark:
        answer: Any = _dark(coverage, tree)
        words = _dark_words(answer)
    elif args.place:
        answer = _reaching(coverage, tree, args.place)
        words = [
            f"{len(answer['tests'])} of {len(coverage.tests)} tests reach {args.place}",
            *answer["tests"],
        ]
    else:
        answer = _summary(coverage, tree)
        words = [_in_words(*file) for file in answer["files"]]
        words.append(
            f"{len(coverage.tests)} tests, {len(coverage.files)} files; {len(answer['stale'])} changed since"
        )
        words += [f"  changed: {path}" for path in answer["stale"]] + [f"note: {n}" for n in coverage.notes]
    print(json.dumps(answer, indent=2) if args.json else "\n".join(words))  # noqa: T201 - a console command
    return failed


def _load(saved: Path) -> CoverageMap:
    try:
        return CoverageMap.from_bytes(saved.read_bytes())
    except FileNotFoundError as error:
        raise AgentflowError(
            f"There is no coverage map at {saved}.", "Record one: `agentflow map --record`."
        ) from error


def _record(args: argparse.Namespace, tree: Path, saved: Path) -> int:
    """Run pytest here with the recorder; returns its exit code when it could not run the tests, else 0."""
    old = None if args.all or not saved.exists() else _load(saved)
    with tempfile.TemporaryDirectory(prefix="agentflow-map-") as scratch:
        out = Path(scratch) / "records"
        out.mkdir()
        options: dict[str, Any] = {
            "top": str(tree),
            "roots": args.root or ["."],
            "out": str(out),
            "level": "lines",
            "processes": args.subprocesses,
        }
        if old is not None:
            planned = map_update.plan(old, tree)
            print(f"recording again: {planned.reason}", file=sys.stderr)  # noqa: T201
            if planned.known:
                listed = Path(scratch) / "known.json"
                listed.write_text(json.dumps(sorted(planned.known)), encoding="utf-8")
                options["known"] = str(listed)
        began = time.monotonic()
        code = _pytest(args.pytest_args, options)
        if code not in (0, 1, 5):
            raise AgentflowError(
                f"pytest ended with exit code {code}: nothing was recorded.",
                "Run plain `pytest` first.",
                exit_code=code,
            )
        records = merge(out)
        seconds = time.monotonic() - began if not records.kept else (old.seconds if old else 0.0)
        fresh = map_update.with_outlines(map_update.join(old, records, tree), tree, seconds)
    saved.parent.mkdir(parents=True, exist_ok=True)
    ignore = saved.parent.parent / ".gitignore"
    if saved.parent.parent.name == ".agentflow" and not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
    partial = saved.with_suffix(".partial")
    partial.write_bytes(fresh.to_bytes())
    partial.replace(saved)
    return 0


def _pytest(arguments: str, options: dict[str, Any]) -> int:
    import shlex

    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "pytest_agentflow.child.recorder",
        *shlex.split(arguments),
    ]
    environment = {**os.environ, "AGENTFLOW_RECORDER": json.dumps(options)}
    return subprocess.run(command, env=environment, stdout=sys.stderr, check=False).returncode


def _in_words(path: str, tests: int, reached: int, of: int) -> str:
    """A file that runs while it is imported and never again is reached by no test of its own."""
    if not reached:
        return f"{path}: nothing reaches its {of} statements"
    who = f"{tests} tests reach" if tests else "importing alone reaches"
    return f"{path}: {who} {reached} of {of} statements"


def _reaching(coverage: CoverageMap, tree: Path, place: str) -> dict[str, Any]:
    path, lines = _lines_at(coverage, tree, place)
    return {
        "path": path,
        "lines": [lines.start, lines.stop - 1],
        "tests": list(coverage.tests_reaching(path, lines)),
    }


def _lines_at(coverage: CoverageMap, tree: Path, place: str) -> tuple[str, range]:
    path, separator, name = place.partition("::")
    if not separator:
        path, _, told = place.partition(":")
    if path not in coverage.files:
        raise AgentflowError(
            f"{path} is not in the map.", "Name it relative to the directory where the map was recorded."
        )
    if separator:
        unit = next((u for u in units.units(tree, path) if u.qualname == name), None)
        if unit is None:
            raise AgentflowError(f"{path} has no function {name}.", "Write methods as Class.method.")
        first = unit.first_line
        last = unit.last_line
        # The `def` line itself runs at import; a one-line function has no other line.
        return path, range(first if first == last else first + 1, last + 1)
    if not told:
        return path, range(1, 1 + max(coverage.lines_reached(path), default=1))
    first_told, _, last_told = told.partition("-")
    try:
        return path, range(int(first_told), int(last_told or first_told) + 1)
    except ValueError as error:
        raise AgentflowError(f"{told} is no line number.", "Write FILE:12 or FILE:12-20.") from error


def _measured(coverage: CoverageMap, tree: Path) -> list[str]:
    """The project's own files that it wants measured. Everything is recorded: an update must know of every change."""
    wanted = coverage_config.read(tree)
    return [p for p in coverage.paths() if not units.is_test_path(p) and wanted.measures(p)]


def _dark(coverage: CoverageMap, tree: Path) -> list[dict[str, Any]]:
    sources = units.load(tree, _measured(coverage, tree))
    found = dark_units(sources, {p: coverage.lines_tested(p) for p in sources})
    return [
        {
            "path": d.unit.path,
            "qualname": d.unit.qualname,
            "first_line": d.unit.first_line,
            "last_line": d.unit.last_line,
            "statements": d.statements,
            "called_from_tested_code": d.called,
        }
        for d in found
    ]


def _dark_words(found: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"{d['path']}:{d['first_line']} {d['qualname']} ({count(d['statements'], 'statement')}"
        + ("; tested code calls it by name)" if d["called_from_tested_code"] else ")")
        for d in found
    ]
    return [*lines, f"{len(found)} functions that no test reaches"]


def _summary(coverage: CoverageMap, tree: Path) -> dict[str, Any]:
    rows = []
    for path, source in units.load(tree, _measured(coverage, tree)).items():
        reached = coverage.lines_reached(path)
        hit = sum(any(n in reached for n in range(s.first_line, s.last_line + 1)) for s in source.statements)
        rows.append(
            (
                path,
                len(coverage.tests_reaching(path, coverage.lines_tested(path))),
                hit,
                len(source.statements),
            )
        )
    stale = [
        p
        for p, h in zip(coverage.files, coverage.hashes, strict=True)
        if coverage_map.source_hash(tree / p) != h
    ]
    return {"tests": len(coverage.tests), "files": rows, "stale": stale, "notes": list(coverage.notes)}
