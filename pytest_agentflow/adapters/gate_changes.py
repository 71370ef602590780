"""Which files with rules of the gate does the judged change edit? Asked of git."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from pytest_agentflow.adapters import gitcmd
from pytest_agentflow.core.gate.edits import KINDS, Edit, RuleChange
from pytest_agentflow.errors import AgentflowError

# Where what pytest and coverage do is decided, in whatever folder; and where a gate is called from.
_CONFIG = ("pyproject.toml", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "tox.ini", "setup.cfg", ".coveragerc")  # fmt: skip
_CALLERS = (
    ".github/workflows/*", ".github/actions/*", ".gitlab-ci.yml", ".gitlab/*", "Jenkinsfile", "*/Jenkinsfile",
    ".circleci/*", "azure-pipelines.yml", ".buildkite/*", "noxfile.py", "Makefile", ".ci/*",
)  # fmt: skip


def top_of(start: Path) -> Path:
    """The top of the work tree that `start` is in."""
    return Path(gitcmd.run("rev-parse", "--show-toplevel", cwd=start).decode().strip())


def changed_since(base: str, top: Path) -> frozenset[str]:
    """Paths that differ between the merge base with `base` and the work tree, untracked ones included."""
    if base.startswith("-"):
        raise AgentflowError(f"{base!r} is no revision", "give a branch, tag or commit", 3)
    fork = merge_base(base, top)
    names = gitcmd.run("diff", "--name-only", "-z", "--no-renames", fork, "--", cwd=top)
    names += gitcmd.run("ls-files", "--others", "--exclude-standard", "-z", cwd=top)
    return frozenset(n for n in names.decode("utf-8", "surrogateescape").split("\0") if n)


def merge_base(base: str, top: Path) -> str:
    try:
        return gitcmd.run("merge-base", base, "HEAD", cwd=top).decode().strip()
    except gitcmd.GitError:
        step = "fetch it first (on GitHub Actions: actions/checkout with fetch-depth: 0)"
        raise AgentflowError(f"git knows no common ancestor of {base} and HEAD", step, 3) from None


def rule_changes(
    changed: frozenset[str], files: Mapping[str, str], *, top: Path, base: str | None, today: int = 0
) -> list[RuleChange]:
    """One entry per edited file with rules. `files`: the gate's own files, path in the repository -> kind (`edits.KINDS`)."""
    found = []
    for path in sorted(changed):
        kind = files.get(path) or _kind(path)
        if kind and base:
            edit = Edit(path, text_at(path, base, top), _now(path, top), today)
            found.append(KINDS[kind](edit))
        elif (
            kind and kind != "caller"
        ):  # without the old text most edits of a CI file would read as one of the rules
            text = f"{kind}; with --base the gate can see whether it was tightened or loosened"
            found.append(RuleChange(path, "unknown", text))
    return [change for change in found if change is not None]


def _kind(path: str) -> str | None:
    if fnmatch(path, "oracles/*.toml"):
        return "input"
    if path.rpartition("/")[2] in _CONFIG:
        return "configuration"
    return "caller" if any(fnmatch(path, glob) for glob in _CALLERS) else None


def text_at(path: str, base: str, top: Path) -> str | None:
    """A file as it was where the change began; None if it was not there."""
    try:
        shown = gitcmd.run("show", f"{merge_base(base, top)}:{path}", cwd=top)
    except gitcmd.GitError:
        return None
    return shown.decode("utf-8", "replace")


def _now(path: str, top: Path) -> str | None:
    try:
        return (top / path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
