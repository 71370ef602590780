"""How do a run's accepted fixes reach a forge? One branch and one text each, prepared here; a person pushes them."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_agentflow.adapters import snapshot
from pytest_agentflow.adapters.branch import Commit, write_branch
from pytest_agentflow.adapters.patches import PatchConflict
from pytest_agentflow.adapters.repository import Repository, open_repository
from pytest_agentflow.adapters.snapshot import Snapshot
from pytest_agentflow.core.model import Patch
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.report import files, pull_request
from pytest_agentflow.report.model import AttemptReport, RunReport


@dataclass(frozen=True, slots=True)
class Fix:
    """One accepted fix on its way out: the commits of its branch, its own last. `needs` is the attempt below it, or ""."""

    attempt: AttemptReport
    targets: tuple[str, ...]
    commits: tuple[Commit, ...]
    needs: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `agentflow deliver`."""
    parser.add_argument(
        "run_id", metavar="RUN", nargs="?", default="", help="run id or its beginning (default: the last run)"
    )
    parser.add_argument("--attempt", metavar="ID", help="only this fix, such as r1-a2")
    parser.add_argument(
        "--into", metavar="DIR", type=Path, help="where the texts go (default: the run's directory)"
    )


def run(args: argparse.Namespace) -> int:
    """Write branches and texts, and print the commands that would publish them; nothing is pushed."""
    directory = files.find(Path.cwd(), args.run_id)
    report = files.load(directory)
    fixes = [f for f in accepted(directory, report) if not args.attempt or f.attempt.id == args.attempt]
    if not fixes:
        what = f"no accepted fix {args.attempt}" if args.attempt else "no accepted fix"
        raise AgentflowError(
            f"Run {report.run} has {what}.",
            f"See what it has with `agentflow show {report.run}`.",
            exit_code=1,
        )
    repository = open_repository(Path.cwd())
    base = snapshot.load(directory / "base.git", report.base)
    into = args.into or directory / "deliver"
    into.mkdir(parents=True, exist_ok=True)
    for number, fix in enumerate(fixes, 1):
        _deliver(repository, report, base, fix, into / f"{number:04}-{fix.attempt.id}.md")
    sys.stdout.write("Nothing was pushed. Read each text and diff first; the commands above publish them.\n")
    return 0


def accepted(directory: Path, report: RunReport) -> list[Fix]:
    """The integrated fixes, each alone on the run's base where its patch applies there, else on top of those before it."""
    store = directory / "base.git"
    base = before = snapshot.load(store, report.base)
    fixes: list[Fix] = []
    stack: list[Commit] = []
    for integration in (i for round_ in report.rounds for i in round_.integrated):
        after = snapshot.load(store, integration.tree)
        attempt = report.attempt(integration.attempt)
        if attempt is not None:
            alone = _alone(base, snapshot.between(before, after))
            stack.append(_commit(report, attempt, integration.targets, after))
            if alone is not None:
                fixes.append(Fix(attempt, integration.targets, (replace(stack[-1], snapshot=alone),)))
            else:
                fixes.append(Fix(attempt, integration.targets, tuple(stack), fixes[-1].attempt.id))
        before = after
    return fixes


def _commit(report: RunReport, attempt: AttemptReport, targets: Sequence[str], after: Snapshot) -> Commit:
    told = [("Attempt", f"{report.run}/{attempt.id}"), *(("Target", t) for t in targets[:20])]
    return Commit(
        after, pull_request.title(attempt, targets), attempt.reason, (*told, ("Verdict", attempt.verdict))
    )


def _alone(base: Snapshot, patch: Patch) -> Snapshot | None:
    try:
        return snapshot.apply(base, patch)
    except PatchConflict:
        return None


def _deliver(repository: Repository, report: RunReport, base: Snapshot, fix: Fix, text: Path) -> None:
    branch = f"agentflow/{report.run}-{fix.attempt.id}"
    needs = f"agentflow/{report.run}-{fix.needs}" if fix.needs else ""
    title = fix.commits[-1].title
    write_branch(repository, branch, base, fix.commits)
    body = pull_request.body(report, fix.attempt, fix.targets, branch=branch, needs=needs)
    text.write_text(body, encoding="utf-8")
    sys.stdout.write(f"{branch}: {title}\n  text: {text}\n")
    for line in publishing(branch, title, text, needs or repository.branch or "main"):
        sys.stdout.write(f"  {line}\n")


def publishing(branch: str, title: str, text: Path, onto: str) -> tuple[str, ...]:
    """The commands with which a person publishes a fix, on GitHub or GitLab."""
    push = shlex.join(["git", "push", "origin", branch])
    github = shlex.join(
        ["gh", "pr", "create", "--base", onto, "--head", branch, "--title", title, "--body-file", str(text)]
    )
    gitlab = shlex.join(
        [
            "glab",
            "mr",
            "create",
            "--target-branch",
            onto,
            "--source-branch",
            branch,
            "--title",
            title,
            "--description",
        ]
    )
    return push, github, f'{gitlab} "$(cat {shlex.quote(str(text))})"'
