"""What was changed lately, by git: the uncommitted lines, and how recently each file was committed?"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_agentflow.adapters import gitcmd
from pytest_agentflow.errors import AgentflowError

COMMITS = 200  # how far back a change counts as recent
MAIN = ("origin/HEAD", "origin/main", "origin/master", "main", "master")


@dataclass(frozen=True, slots=True)
class Changes:
    """Facts for localisation; empty where there is no repository or no history."""

    uncommitted: dict[str, frozenset[int]] = field(default_factory=dict)
    recent: dict[str, float] = field(default_factory=dict)
    ages: dict[str, str] = field(default_factory=dict)


def read(top: Path | None, tree: Path, paths: Iterable[str]) -> Changes:
    """The facts of the repository at `top` about files of `tree`, which holds its working state."""
    if top is None or not (top / ".git").exists():
        return Changes()
    try:
        recent, ages = _history(top)
        return Changes(_uncommitted(top, tree, paths), recent, ages)
    except AgentflowError:  # no commit yet, a broken repository: localisation goes on without these facts
        return Changes()


def _git(top: Path, *args: str) -> bytes:
    return gitcmd.run("-c", "core.quotePath=false", *args, cwd=top)


def since_base(top: Path, tree: Path, paths: Iterable[str]) -> tuple[str, dict[str, frozenset[int]]]:
    """What `tree` changes since its base, and which base that is: where the branch left the main one, else the last commit.

    Without any change since there (the main branch itself, all committed), the commit before the last one is the base.
    Files that are gone since are there with no lines. Raises GitError where there is no commit.
    """
    names = [*paths]
    fork = next((f for name in MAIN if (f := _fork(top, name))), "HEAD")
    for base in (fork, "HEAD~1"):
        found = _lines_since(top, base, tree, names)
        if found:
            return base, found
    return base, {}


def _fork(top: Path, name: str) -> str | None:
    try:
        return _git(top, "merge-base", name, "HEAD").decode().strip()[:12]
    except gitcmd.GitError:
        return None


def _lines_since(top: Path, base: str, tree: Path, names: Iterable[str]) -> dict[str, frozenset[int]]:
    gone = {path: frozenset[int]() for path in _blobs(top, base) if not (tree / path).exists()}
    return gone | _uncommitted(top, tree, names, base)


def _blobs(top: Path, revision: str) -> dict[str, str]:
    """The files of a revision, and the ids of their contents."""
    blobs = {}
    for record in gitcmd.records(_git(top, "ls-tree", "-r", "-z", revision)):
        facts, _, path = record.partition("\t")
        blobs[path] = facts.split()[2]
    return blobs


def _uncommitted(
    top: Path, tree: Path, paths: Iterable[str], revision: str = "HEAD"
) -> dict[str, frozenset[int]]:
    """Lines of `tree` that HEAD does not have. Compared here, not by `git diff`, which would run the repository's filters."""
    blobs = _blobs(top, revision)
    found = {}
    for path in paths:
        try:
            now = (tree / path).read_bytes()
        except OSError:
            continue
        if path not in blobs:
            found[path] = frozenset(range(1, len(now.splitlines()) + 1))
        elif _blob_id(now, len(blobs[path])) != blobs[path]:
            before = _git(top, "cat-file", "blob", blobs[path])
            found[path] = changed_lines(before.splitlines(), now.splitlines())
    return {path: lines for path, lines in found.items() if lines}


def _blob_id(content: bytes, digits: int) -> str:
    algorithm = hashlib.sha256 if digits == 64 else hashlib.sha1
    return algorithm(b"blob %d\0" % len(content) + content).hexdigest()


def changed_lines(before: Sequence[bytes], now: Sequence[bytes]) -> frozenset[int]:
    """1-based lines of `now` that are new or changed; for a pure deletion the lines on both sides of the gap."""
    found: set[int] = set()
    for tag, _, _, first, last in difflib.SequenceMatcher(None, before, now, autojunk=False).get_opcodes():
        if tag == "delete":
            found.update(n for n in (first, first + 1) if 1 <= n <= len(now))
        elif tag != "equal":
            found.update(range(first + 1, last + 1))
    return frozenset(found)


def _history(top: Path) -> tuple[dict[str, float], dict[str, str]]:
    told = _git(top, "log", f"-{COMMITS}", "--format=%x00%cr", "--name-only", "--no-renames")
    recent: dict[str, float] = {}
    ages: dict[str, str] = {}
    for number, commit in enumerate(told.decode("utf-8", "replace").split("\0")[1:]):
        age, *names = [line for line in commit.splitlines() if line]
        for name in names:
            if name.endswith(".py") and name not in recent:
                recent[name] = 1.0 / (1 + number)
                ages[name] = age
    return recent, ages
