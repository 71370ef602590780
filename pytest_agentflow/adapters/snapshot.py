"""What exactly was the user's working tree, and what does a changed tree look like?

A snapshot is HEAD plus uncommitted plus untracked-unignored files, byte for byte, in a bare repository of our own.
This module takes it, and is the one door to what can be done with it.
"""

from __future__ import annotations

from pathlib import Path

from pytest_agentflow.adapters import overlay, tree_files
from pytest_agentflow.adapters import store as objects
from pytest_agentflow.adapters.patches import PatchConflict, apply, between, diff
from pytest_agentflow.adapters.repository import Repository, ignore_rules
from pytest_agentflow.adapters.trees import (
    Snapshot,
    content,
    contents,
    load,
    materialise,
    save_manifest,
    with_files,
)
from pytest_agentflow.adapters.working_tree import Listing, list_files
from pytest_agentflow.core import gitobjects
from pytest_agentflow.core.gitobjects import Entry
from pytest_agentflow.errors import AgentflowError

__all__ = [
    "PatchConflict",
    "Snapshot",
    "apply",
    "between",
    "content",
    "contents",
    "diff",
    "load",
    "materialise",
    "take",
    "with_files",
]


def take(repo: Repository, store: Path, *, with_overlay: bool = True) -> Snapshot:
    """Copy the user's actual state into `store`; nothing of the user's repository is touched."""
    objects.create(store)
    listing = list_files(repo)
    notes = [*repo.notes, *listing.notes]
    with objects.writing("the snapshot of the working tree"), objects.PackWriter(store) as pack:
        files = {
            path: entry
            for path in sorted(listing.files)
            if (entry := _read(repo.top, path, pack, notes, listing))
        }
        made = gitobjects.trees(files)
        for _, payload in made.values():
            pack.add("tree", payload)
        pack.finish()
    kept = _overlay(repo, store, listing, notes) if with_overlay else {}
    snapshot = Snapshot(store, made[""][0], files, kept, listing.nested, repo.head, tuple(notes))
    with objects.writing("the snapshot's manifest"):
        objects.atomic_write(store / "info" / "exclude", ignore_rules(repo))
        save_manifest(snapshot)
    return snapshot


def _read(top: Path, path: str, pack: objects.PackWriter, notes: list[str], listing: Listing) -> Entry | None:
    """Read one file as it is; again when it changed while we read."""
    place = top / path
    for _ in range(5):
        try:
            before = place.lstat()
            found = tree_files.describe(before)
            if found is None:
                return None
            if found.mode != gitobjects.SYMLINK and before.st_size >= objects.LARGE:
                with place.open("rb") as source:
                    oid = pack.add_large(source, before.st_size)
            else:
                oid = pack.add("blob", tree_files.read(place, found.mode))
            if oid and tree_files.describe(place.lstat()) == found:
                return found.mode, oid
        except (FileNotFoundError, NotADirectoryError):
            return None  # deleted, or a parent directory gave way to a file or link
        except PermissionError as error:
            if path in listing.untracked:
                notes.append(f"not readable, left out: {path}")
                return None
            raise AgentflowError(
                f"{path} cannot be read: {error.strerror}.", "Make it readable for this user."
            ) from error
    raise AgentflowError(
        f"{path} keeps changing while it is read.", "Stop what writes to it, or add it to .gitignore."
    )


def _overlay(repo: Repository, store: Path, listing: Listing, notes: list[str]) -> dict[str, str]:
    kept, left = overlay.choose(list(overlay.candidates(repo.top, listing.ignored)))
    if left:
        shown = ", ".join(left[:3]) + (" …" if len(left) > 3 else "")
        notes.append(f"{len(left)} ignored files exceed the overlay's caps and are left out: {shown}")
    return {path: overlay.keep(store, repo.top / path) for path in sorted(kept)}
