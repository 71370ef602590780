"""How is one file of the user's tree exchanged for another version in one step, and what is there now?"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pytest_agentflow.adapters import store as objects
from pytest_agentflow.adapters import tree_files
from pytest_agentflow.core import gitobjects
from pytest_agentflow.core.gitobjects import Entry

BLOCKED: Entry = ("blocked", "")  # a directory, a special file, or a parent that is a file or link


@dataclass(frozen=True, slots=True)
class Change:
    """One path from one version to another; None: no file. `waiting` is where the new content is prepared."""

    path: str
    before: Entry | None
    after: Entry | None
    waiting: str = ""

    def reversed(self) -> Change:
        return Change(self.path, self.after, self.before, self.waiting)


def waiting_places(top: Path, changes: Iterable[Change], token: str) -> tuple[Change, ...]:
    """Each new content waits in the nearest directory that exists, so that the last step is one rename."""
    placed = []
    for number, change in enumerate(changes):
        directory = (top / change.path).parent
        while not directory.is_dir():
            directory = directory.parent
        waiting = (directory / f".agentflow-{token}-{number}").relative_to(top)
        placed.append(Change(change.path, change.before, change.after, str(waiting)))
    return tuple(placed)


def current(top: Path, path: str) -> Entry | None:
    """What is at `path` now; blocked when something that is not ours to replace stands there or above."""
    parent = top
    for part in path.split("/")[:-1]:
        parent = parent / part
        if parent.is_symlink() or (parent.exists() and not parent.is_dir()):
            return BLOCKED
    place = top / path
    try:
        entry = tree_files.entry_of(place)
    except PermissionError:
        return BLOCKED
    return BLOCKED if entry is None and os.path.lexists(place) else entry


def stage(top: Path, store: Path, change: Change) -> None:
    """Write the new content beside its target; owner and permission bits stay those of the file it replaces."""
    if change.after is None:
        return
    mode, blob = change.after
    waiting = top / change.waiting
    waiting.unlink(missing_ok=True)
    payload = objects.read_blob(store, blob)
    if mode == gitobjects.SYMLINK:
        waiting.symlink_to(os.fsdecode(payload))
        return
    with waiting.open("xb") as file:
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())
    executable = mode == gitobjects.EXECUTABLE
    place = top / change.path
    if not place.is_symlink() and place.is_file():
        old = place.stat()
        with contextlib.suppress(PermissionError):
            os.chown(waiting, old.st_uid, old.st_gid)
        waiting.chmod(_with_execute(old.st_mode & 0o7777, executable))
    elif executable:
        waiting.chmod(_with_execute(waiting.stat().st_mode & 0o7777, True))


def _with_execute(permissions: int, executable: bool) -> int:
    """Who may read may execute, or nobody may; unchanged when the owner's bit is as wanted."""
    if bool(permissions & 0o100) == executable:
        return permissions
    return permissions | (permissions & 0o444) >> 2 if executable else permissions & ~0o111


def swap(top: Path, store: Path, change: Change) -> None:
    """Put the new content in place with one rename, or remove the file. What waits is written again when it is not whole."""
    place, waiting = top / change.path, top / change.waiting
    if change.after is None:
        place.unlink(missing_ok=True)
        _remove_empty(place.parent, top)
        return
    waiting.parent.mkdir(parents=True, exist_ok=True)
    if tree_files.entry_of(waiting) != change.after:
        stage(top, store, change)
    place.parent.mkdir(parents=True, exist_ok=True)
    waiting.replace(place)


def discard(top: Path, changes: Iterable[Change]) -> None:
    for change in changes:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            (top / change.waiting).unlink()


def _remove_empty(directory: Path, top: Path) -> None:
    """As git does: a directory goes with its last file."""
    while directory != top:
        try:
            directory.rmdir()
        except OSError:
            return
        directory = directory.parent


def sync_parents(top: Path, changes: Iterable[Change]) -> None:
    for directory in {(top / change.path).parent for change in changes}:
        if directory.is_dir():
            sync_directory(directory)


def sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
