"""Which files make up the user's working tree, which are ignored, and which belong to a nested repository?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_agentflow.adapters import gitcmd
from pytest_agentflow.adapters.overlay import not_offered
from pytest_agentflow.adapters.repository import Repository

_GITLINK = "160000"
_MAX_DEPTH = 8


@dataclass(slots=True)
class Listing:
    """Paths relative to the top level. `ignored` as git lists them: a directory ends in a slash."""

    files: set[str] = field(default_factory=set)
    untracked: set[str] = field(default_factory=set)
    ignored: list[str] = field(default_factory=list)
    nested: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def list_files(repo: Repository) -> Listing:
    """Tracked, untracked-unignored and ignored files, nested repositories included."""
    listing = Listing()
    config = [f"core.excludesFile={repo.excludes_file}"] if repo.excludes_file else []
    _list(listing, repo.git_dir, repo.top, "", config, 0)
    unwanted = not_offered(repo.top, sorted(listing.untracked))
    listing.files -= unwanted.keys()
    listing.untracked -= unwanted.keys()
    listing.notes += [
        f"private file left out: {path}" for path, what in unwanted.items() if what == "private"
    ]
    return listing


def _list(
    listing: Listing, git_dir: Path, work_tree: Path, prefix: str, config: Sequence[str], depth: int
) -> None:
    def ls(*flags: str) -> bytes:
        return gitcmd.run("ls-files", "-z", *flags, git_dir=git_dir, work_tree=work_tree, config=config)

    nested: list[str] = []
    for record in ls("--cached", "--stage").split(b"\0"):
        if record:
            facts, _, name = record.partition(b"\t")
            path = os.fsdecode(name)
            if facts.startswith(_GITLINK.encode()):
                nested.append(path)
            else:
                listing.files.add(prefix + path)
    for path in gitcmd.records(ls("--others", "--exclude-standard")):
        if path.endswith("/"):
            nested.append(path.rstrip("/"))
        else:
            listing.files.add(prefix + path)
            listing.untracked.add(prefix + path)
    listing.ignored += [
        prefix + path
        for path in gitcmd.records(ls("--others", "--ignored", "--exclude-standard", "--directory"))
    ]
    for path in nested:
        _descend(listing, work_tree / path, prefix + path, config, depth)


def _descend(listing: Listing, place: Path, prefix: str, config: Sequence[str], depth: int) -> None:
    """A submodule or nested repository: plain files, protected from edits. One that is not initialised is empty."""
    if not (place / ".git").exists() or place.is_symlink():
        return
    if depth >= _MAX_DEPTH:
        listing.notes.append(f"repositories nested too deep, left out: {prefix}")
        return
    try:
        found = gitcmd.run("rev-parse", "--absolute-git-dir", cwd=place)
        _list(listing, Path(os.fsdecode(found.removesuffix(b"\n"))), place, prefix + "/", config, depth + 1)
    except gitcmd.GitError as error:
        listing.notes.append(f"nested repository left out: {prefix} ({error.cause})")
        return
    listing.nested = (*listing.nested, prefix)
