"""`agentflow gate REPORT.xml…`: may this change be merged? 0 pass, 1 blocked, 2 cannot judge, 3 bad configuration."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pytest_agentflow.core.gate.judge import judge
from pytest_agentflow.core.gate.result import GateResult
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.stages.gate import gather
from pytest_agentflow.stages.gate_options import add_all, with_configuration

_LEAST_ROOM = 4096
_OUTPUTS = ("json", "markdown", "comment", "html", "sarif", "junit")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Every option of the gate; a usage error ends with 3, since 2 means that nothing could be judged."""
    add_all(parser)
    usage_ends_with_3(parser, "gate")


def usage_ends_with_3(parser: argparse.ArgumentParser, command: str) -> None:
    """argparse ends with 2, which is one of the gate's verdicts; and it lets unknown options pass a subcommand by."""
    known = parser.parse_known_args

    def error(message: str) -> None:
        print(f"agentflow {command}: {message}\nsee agentflow {command} --help", file=sys.stderr)  # noqa: T201
        raise SystemExit(3)

    def strict(args=None, namespace=None):  # type: ignore[no-untyped-def]
        found, rest = known(args, namespace)
        if rest:
            error(f"unrecognized arguments: {' '.join(rest)}")
        return found, rest

    parser.error = error  # type: ignore[assignment,method-assign]
    parser.parse_known_args = strict  # type: ignore[method-assign]


def run(args: argparse.Namespace) -> int:
    """Judge, print, write the files asked for. Whatever goes wrong inside is never a pass."""
    try:
        return _run(args)
    except AgentflowError as error:
        code = error.exit_code if error.exit_code in (2, 3) else 3
        verdict = "cannot judge" if code == 2 else "bad configuration"
        print(f"gate: {verdict}: {error}", file=sys.stderr)  # noqa: T201
        return code
    except (Exception, RecursionError) as error:  # noqa: BLE001 - a traceback's exit code would read as "blocked"
        print(f"gate: cannot judge: internal error, {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
        return 2


def _run(args: argparse.Namespace) -> int:
    result = judge(gather(with_configuration(args)))
    from pytest_agentflow.report import gate_terminal

    reconfigure = getattr(sys.stdout, "reconfigure", None)  # a captured stream may have none
    if reconfigure is not None:
        reconfigure(errors="replace")
    sys.stdout.write(gate_terminal.render(result))
    for name in _OUTPUTS:
        path = getattr(args, name)
        if path:
            _write(Path(path), _rendered(name, result))
    if args.github or (args.github is None and os.environ.get("GITHUB_ACTIONS") == "true"):
        _github(result)
    return 0 if args.report_only else result.exit_code


def _rendered(name: str, result: GateResult) -> str:
    from pytest_agentflow.report import gate_html, gate_json, gate_junit, gate_markdown, gate_sarif

    makers = {
        "json": gate_json.render,
        "markdown": gate_markdown.summary,
        "comment": gate_markdown.comment,
        "html": gate_html.render,
        "sarif": gate_sarif.render,
        "junit": gate_junit.render,
    }
    return makers[name](result)


def _github(result: GateResult) -> None:
    from pytest_agentflow.report import gate_github, gate_markdown

    sys.stdout.write(gate_github.render(result))
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        path = Path(summary)
        there = path.stat().st_size if path.exists() else 0
        room = gate_markdown.SUMMARY_BYTES - there
        if room >= _LEAST_ROOM:  # one byte too many, and GitHub drops the step's whole summary
            with path.open("a", encoding="utf-8", errors="replace") as stream:
                stream.write(gate_markdown.render(result, room))


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise AgentflowError(f"cannot write {path}: {error.strerror}", "check the path", 3) from None
