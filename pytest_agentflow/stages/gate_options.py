"""What can be said to the gate, on the command line and in `[tool.agentflow.gate]`?"""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_agentflow.adapters.gate_files import read_table
from pytest_agentflow.errors import AgentflowError

CONFIG = "pyproject.toml"


def add_all(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "reports",
        nargs="*",
        metavar="[CELL=]REPORT",
        help="JUnit XML files; quoted globs are expanded; CELL= names a cell of a matrix",
    )
    add_reading(parser)
    _rules(parser)
    _evidence(parser)
    _change(parser)
    _outputs(parser)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """What `agentflow baseline` needs too."""
    parser.add_argument(
        "--oracle",
        metavar="NAME",
        help="which runner wrote the reports, or a .toml file of your own (default: recognised)",
    )
    parser.add_argument(
        "--source",
        metavar="DIR",
        help="where the tests' source is, to recognise moved and changed Python tests (default: . if --base is given)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=CONFIG,
        help="file with [tool.agentflow.gate] (default: %(default)s)",
    )


def _rules(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("rules")
    group.add_argument(
        "--pass-threshold",
        metavar="P",
        help="percent of the expected tests that must pass, or `base` for the baseline's own rate (default: 100)",
    )
    group.add_argument(
        "--baseline", metavar="FILE", help="what the base branch's tests did, from `agentflow baseline write`"
    )
    group.add_argument(
        "--baseline-report",
        metavar="[CELL=]REPORT",
        action="append",
        help="the base branch's reports instead of a baseline file",
    )
    group.add_argument(
        "--require-baseline", action="store_true", default=None, help="a missing baseline is an error"
    )
    group.add_argument(
        "--new-only", action="store_true", default=None, help="excuse known failures that fail as they did"
    )
    group.add_argument(
        "--strict-baseline",
        action="store_true",
        default=None,
        help="block when a known failure passes, until it is dropped from the baseline",
    )
    group.add_argument("--accept", metavar="TEST", action="append", help="accept the removal of this test")
    group.add_argument("--accepted", metavar="FILE", help="the same, one name a line")
    group.add_argument("--max-new-failures", metavar="N", type=_count, help="with a baseline (default: 0)")
    group.add_argument("--max-new-skips", metavar="N", type=_count, help="with a baseline (default: 0)")
    group.add_argument(
        "--skips",
        choices=("count", "ignore"),
        help="without a baseline: skips count as not passed (default), or are left out",
    )
    group.add_argument(
        "--flaky",
        choices=("block", "allow"),
        help="what a test is that fails and then passes (default: block)",
    )
    group.add_argument(
        "--max-flaky", metavar="N", type=_count, help="budget under --flaky allow (default: 3)"
    )
    group.add_argument(
        "--flaky-passes",
        metavar="N",
        type=_count,
        help="passes in a row that settle a flaky test (default: 1)",
    )
    group.add_argument(
        "--quarantine", metavar="FILE", help="tests that may fail, each with owner, reason and expiry"
    )
    group.add_argument(
        "--quarantine-cap", metavar="N", type=_count, help="most entries (default: the file's, else 20)"
    )
    group.add_argument("--coverage", metavar="FILE", help="coverage's JSON or XML report")
    group.add_argument("--coverage-floor", metavar="P", help="percent, compared exactly")


def _evidence(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("evidence")
    group.add_argument(
        "--expected-shards", metavar="N", type=_count, help="reports that must be there, per cell"
    )
    group.add_argument(
        "--expected-cell", metavar="CELL", action="append", help="cell of the matrix that must be there"
    )
    group.add_argument(
        "--pytest-exit",
        "--exit",
        dest="exit",
        metavar="[CELL=]CODE",
        action="append",
        help="exit code of the test process; may be given per shard",
    )
    group.add_argument(
        "--collected",
        metavar="FILE",
        help="output of `pytest --collect-only -q`: every test in it must have a result",
    )
    group.add_argument(
        "--started", metavar="TIME", help="when the run began (ISO 8601 or seconds): older reports are stale"
    )
    group.add_argument(
        "--commit", metavar="SHA", help="commit that was tested: reports of another one are stale"
    )
    group.add_argument(
        "--history",
        metavar="PATH",
        action="append",
        help="earlier reports (files or folders, oldest first), for the quarantine",
    )


def _change(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the change that is judged")
    group.add_argument(
        "--base",
        metavar="REV",
        help="what the change is made against: its own edits of the gate's rules block",
    )
    group.add_argument(
        "--changed-files", metavar="FILE", help="without git: the paths it touches, one a line"
    )
    group.add_argument(
        "--approve", metavar="GLOB", action="append", help="path rule: edits of these rule files are approved"
    )


def _outputs(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("outputs")
    for name, what in (
        ("json", "everything, for machines"),
        ("markdown", "job summary, at most 1 MiB"),
        ("comment", "comment, at most 64 KiB"),
        ("html", "one page"),
        ("sarif", "SARIF 2.1.0"),
        ("junit", "JUnit XML, one case per test"),
    ):
        group.add_argument(f"--{name}", metavar="FILE", help=what)
    group.add_argument(
        "--github",
        action=argparse.BooleanOptionalAction,
        help="annotations and job summary (default: on GitHub Actions)",
    )
    group.add_argument(
        "--report-only",
        action="store_true",
        default=None,
        help="say the verdict, end with 0 (informational mode)",
    )


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)


_FROM_COMMAND_LINE = {"reports", "config", "command", "run", "report_only", "github"}
# A change must not be able to approve or accept itself through a file that it edits.
_NEVER_IN_A_FILE = {"approve", "accept", "base", "changed_files", "commit", "started", "exit"}


def with_configuration(args: argparse.Namespace) -> argparse.Namespace:
    """Fill in from `[tool.agentflow.gate]` what the command line leaves open."""
    for key, value in read_table(Path(args.config)).items():
        dest = key.replace("-", "_")
        if dest in _NEVER_IN_A_FILE:
            raise _bad(args, f"{key} belongs on the command line: a change could edit it here")
        if dest in _FROM_COMMAND_LINE or not hasattr(args, dest):
            raise _bad(args, f"unknown key {key!r}")
        if getattr(args, dest) is None:
            setattr(args, dest, _typed(args, dest, key, value))
    return args


def _typed(args: argparse.Namespace, dest: str, key: str, value: object) -> object:
    switches = {"new_only", "strict_baseline", "require_baseline"}
    numbers = {
        "max_new_failures",
        "max_new_skips",
        "max_flaky",
        "flaky_passes",
        "quarantine_cap",
        "expected_shards",
    }
    lists = {"baseline_report", "expected_cell", "history"}
    choices = {"skips": ("count", "ignore"), "flaky": ("block", "allow")}
    if dest in switches and isinstance(value, bool):
        return value
    if dest in numbers and isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if dest in lists and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return value
    if dest in ("pass_threshold", "coverage_floor") and isinstance(value, (int, float, str)):
        return str(value)
    if (
        dest not in switches | numbers | lists
        and isinstance(value, str)
        and value in choices.get(dest, (value,))
    ):
        return value
    raise _bad(args, f"{key} cannot be {value!r}")


def _bad(args: argparse.Namespace, what: str) -> AgentflowError:
    return AgentflowError(f"[tool.agentflow.gate] in {args.config}: {what}", "see docs/reference/gate.md", 3)
