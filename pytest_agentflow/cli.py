"""The `agentflow` command: dispatches to one module per subcommand."""

from __future__ import annotations

import argparse
import importlib
import sys
import warnings

from pytest_agentflow import __version__
from pytest_agentflow.errors import AgentflowError

COMMANDS = {
    "gate": "judge JUnit reports against a pass threshold, a baseline and a quarantine",
    "baseline": "write or update the gate's baseline",
    "triage": "find flaky tests in histories of JUnit reports",
    "map": "which tests reach this line, function or file; which code no test reaches",
    "show": "show a run: its summary, its patches, one attempt",
    "verify": "check a run's journal and re-execute its verdicts without a model",
    "deliver": "prepare one branch and one pull-request text per accepted fix; pushes nothing",
    "undo": "take a run's changes out of the working tree again",
    "clean": "remove workspaces and old runs",
    "doctor": "what works on this machine: sandbox, fork, git, prices",
}


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; a user's mistake is printed in one or two lines, never as a traceback."""
    warnings.simplefilter("ignore", SyntaxWarning)  # of files that are only read here: pytest shows them
    parser = argparse.ArgumentParser(prog="agentflow", description=__import__("pytest_agentflow").__doc__)
    parser.add_argument("--version", action="version", version=f"pytest-agentflow {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    arguments = sys.argv[1:] if argv is None else argv
    wanted = next((a for a in arguments if a in COMMANDS), None)
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == wanted:
            module = importlib.import_module(f"pytest_agentflow.commands.{name}")
            module.add_arguments(sub)
            sub.set_defaults(handler=module.run)
    args = parser.parse_args(arguments)
    try:
        return int(args.handler(args))
    except AgentflowError as error:
        print(f"agentflow {args.command}: {error}", file=sys.stderr)  # noqa: T201 - the console is this module's job
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
