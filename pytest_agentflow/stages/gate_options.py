"""What can be said to the gate, on the command line and in `[tool.agentflow.gate]`?

One table of knobs: argparse's options, the keys of the configuration and their types all follow from it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_agentflow.adapters.gate_files import read_table
from pytest_agentflow.errors import AgentflowError

CONFIG = "pyproject.toml"


@dataclass(frozen=True, slots=True)
class Knob:
    """One option. `kind`: "text", "percent", "number", "list", "switch" or "choice"; `told`: on the command line only."""

    name: str
    kind: str
    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()
    told: bool = False
    alias: str = ""

    @property
    def dest(self) -> str:
        return (self.alias or self.name).replace("-", "_")


# A change must not be able to approve or accept itself through a file that it edits: those knobs are `told`.
READING = (
    Knob("oracle", "text", "which runner wrote the reports, or a .toml file of your own (default: recognised)", "NAME"),
    Knob("source", "text", "where the tests' source is, to recognise moved and changed Python tests and subtests (default: . if --base is given)", "DIR"),
)  # fmt: skip
GROUPS = {
    "rules": (
        Knob("pass-threshold", "percent", "percent of the expected tests that must pass, or `base` for the baseline's own rate (default: 100)", "P"),
        Knob("baseline", "text", "what the base branch's tests did, from `agentflow baseline write`", "FILE"),
        Knob("baseline-report", "list", "the base branch's reports instead of a baseline file", "[CELL=]REPORT"),
        Knob("require-baseline", "switch", "a missing baseline is an error"),
        Knob("new-only", "switch", "excuse known failures that fail as they did"),
        Knob("strict-baseline", "switch", "block when a known failure passes, until it is dropped from the baseline"),
        Knob("accept", "list", "accept the removal of this test", "TEST", told=True),
        Knob("accepted", "text", "the same, one name a line", "FILE"),
        Knob("max-new-failures", "number", "with a baseline (default: 0)", "N"),
        Knob("max-new-skips", "number", "with a baseline (default: 0)", "N"),
        Knob("skips", "choice", "without a baseline: skips count as not passed (default), or are left out", choices=("count", "ignore")),
        Knob("flaky", "choice", "what a test is that fails and then passes (default: block)", choices=("block", "allow")),
        Knob("max-flaky", "number", "budget under --flaky allow (default: 3)", "N"),
        Knob("flaky-passes", "number", "passes in a row that settle a flaky test (default: 1)", "N"),
        Knob("quarantine", "text", "tests that may fail, each with owner, reason and expiry", "FILE"),
        Knob("quarantine-cap", "number", "most entries (default: the file's, else 20)", "N"),
        Knob("coverage", "text", "coverage's JSON or XML report", "FILE"),
        Knob("coverage-floor", "percent", "percent, compared exactly", "P"),
    ),
    "evidence": (
        Knob("expected-shards", "number", "reports that must be there, per cell", "N"),
        Knob("expected-cell", "list", "cell of the matrix that must be there", "CELL"),
        Knob("pytest-exit", "list", "exit code of the test process; may be given per shard", "[CELL=]CODE", told=True, alias="exit"),
        Knob("collected", "text", "output of `pytest --collect-only -q`: every test in it must have a result", "FILE"),
        Knob("started", "text", "when the run began (ISO 8601 or seconds): older reports are stale", "TIME", told=True),
        Knob("commit", "text", "commit that was tested: reports of another one, or of none, are stale", "SHA", told=True),
        Knob("history", "list", "earlier reports (files or folders, oldest first), for the quarantine", "PATH"),
    ),
    "the change that is judged": (
        Knob("base", "text", "what the change is made against: its own edits of the gate's rules block", "REV", told=True),
        Knob("changed-files", "text", "without git: the paths it touches, one a line", "FILE", told=True),
        Knob("approve", "list", "path rule: edits of these rule files are approved", "GLOB", told=True),
    ),
    "outputs": (
        Knob("json", "text", "everything, for machines", "FILE"),
        Knob("markdown", "text", "job summary, at most 1 MiB", "FILE"),
        Knob("comment", "text", "comment, at most 64 KiB", "FILE"),
        Knob("html", "text", "one page", "FILE"),
        Knob("sarif", "text", "SARIF 2.1.0", "FILE"),
        Knob("junit", "text", "JUnit XML, one case per test", "FILE"),
        Knob("report-only", "switch", "say the verdict, end with 0 (informational mode)", told=True),
    ),
}  # fmt: skip


def add_all(parser: argparse.ArgumentParser) -> None:
    """Every option of `agentflow gate`."""
    parser.add_argument(
        "reports", nargs="*", metavar="[CELL=]REPORT", help="JUnit XML files; quoted globs are expanded; CELL= names a cell of a matrix",
    )  # fmt: skip
    add_reading(parser)
    for title, knobs in GROUPS.items():
        _add(parser.add_argument_group(title), knobs)
    parser.add_argument(
        "--github", action=argparse.BooleanOptionalAction, help="annotations and job summary (default: on GitHub Actions)",
    )  # fmt: skip


def add_reading(parser: argparse.ArgumentParser) -> None:
    """What `agentflow baseline` needs too."""
    _add(parser, READING)
    parser.add_argument(
        "--config", metavar="FILE", default=CONFIG, help="file with [tool.agentflow.gate] (default: %(default)s)",
    )  # fmt: skip


def _add(parser: Any, knobs: Iterable[Knob]) -> None:
    shapes: dict[str, dict[str, Any]] = {
        "switch": {"action": "store_true", "default": None}, "list": {"action": "append"}, "number": {"type": _count},
    }  # fmt: skip
    for knob in knobs:
        flags = [f"--{knob.name}", *([f"--{knob.alias}"] if knob.alias else [])]
        extras = {"metavar": knob.metavar, "choices": knob.choices}
        shape = shapes.get(knob.kind, {}) | {key: value for key, value in extras.items() if value}
        parser.add_argument(*flags, dest=knob.dest, help=knob.help, **shape)


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)


_FITS: dict[str, Callable[[object], bool]] = {
    "switch": lambda value: isinstance(value, bool),
    "number": lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0,
    "list": lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    "percent": lambda value: isinstance(value, (int, float, str)) and not isinstance(value, bool),
    "text": lambda value: isinstance(value, str),
    "choice": lambda value: isinstance(value, str),
}


def with_configuration(args: argparse.Namespace) -> argparse.Namespace:
    """Fill in from `[tool.agentflow.gate]` what the command line leaves open."""
    known = {knob.name: knob for group in (READING, *GROUPS.values()) for knob in group}
    for key, value in read_table(Path(args.config)).items():
        knob = known.get(key.replace("_", "-"))
        if knob is None:
            raise _bad(args, f"unknown key {key!r}")
        if knob.told:
            raise _bad(args, f"{key} belongs on the command line: a change could edit it here")
        if not _FITS[knob.kind](value) or (knob.choices and value not in knob.choices):
            raise _bad(args, f"{key} cannot be {value!r}")
        if getattr(args, knob.dest) is None:
            setattr(args, knob.dest, str(value) if knob.kind == "percent" else value)
    return args


def _bad(args: argparse.Namespace, what: str) -> AgentflowError:
    return AgentflowError(f"[tool.agentflow.gate] in {args.config}: {what}", "see docs/reference/gate.md", 3)
