"""What lies in a directory, and how are a snapshot's files put there byte for byte? Never through a symlink, never through git."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_agentflow.core.gitobjects import EXECUTABLE, REGULAR, SYMLINK, Entry, blob_id

# Left behind by every run of Python or pytest; never part of a change, and a place to hide poisoned bytecode.
CACHE_DIRECTORIES = frozenset(
    {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".git", ".agentflow"}
)
CACHE_SUFFIXES = (".pyc", ".pyo")


@dataclass(frozen=True, slots=True)
class Found:
    """One file or link on disk. `stamp` changes whenever content or mode does: it holds inode, size, mode and ctime."""

    mode: str
    stamp: tuple[int, ...]


def describe(status: os.stat_result) -> Found | None:
    """The git mode of a file or link; None for anything else (directory, socket, fifo, device)."""
    if stat.S_ISLNK(status.st_mode):
        mode = SYMLINK
    elif stat.S_ISREG(status.st_mode):
        mode = EXECUTABLE if status.st_mode & stat.S_IXUSR else REGULAR
    else:
        return None
    return Found(
        mode,
        (
            status.st_ino,
            status.st_size,
            status.st_mode,
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_nlink,
        ),
    )


def walk(
    top: Path, skip: Callable[[str, bool], bool], *, repair: bool = False
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every entry that is not a directory below `top`, by relative path; `skip(path, is_directory)` prunes.

    A directory that cannot be read is passed over; with `repair` (for workspaces, which are ours) it is made readable.
    """
    pending = [""]
    while pending:
        directory = pending.pop()
        for entry in _entries(os.path.join(top, directory), repair):  # noqa: PTH118 - hot path
            path = directory + entry.name
            is_directory = entry.is_dir(follow_symlinks=False)
            if skip(path, is_directory):
                continue
            if is_directory:
                pending.append(path + "/")
            else:
                yield path, entry


def _entries(directory: str, repair: bool) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
    except PermissionError:
        if not repair:
            return []
        Path(directory).chmod(0o755)
        return _entries(directory, False)


def is_cache(path: str, is_directory: bool) -> bool:
    name = path.rpartition("/")[2]
    return name in CACHE_DIRECTORIES if is_directory else name.endswith(CACHE_SUFFIXES)


def read(place: Path | str, mode: str) -> bytes:
    """The bytes that git would hash: file content, or a link's target."""
    if mode == SYMLINK:
        return os.fsencode(os.readlink(place))  # noqa: PTH115 - the target's exact text
    descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def entry_of(place: Path) -> Entry | None:
    """(mode, blob id) of what is at `place` now; None when there is no file or link."""
    try:
        found = describe(place.lstat())
        return (found.mode, blob_id(read(place, found.mode))) if found else None
    except (FileNotFoundError, NotADirectoryError):
        return None


def moment(blob: str) -> int:
    """A modification time derived from the content, in seconds, between 2001 and 2009.

    Same content, same time; other content, other time: bytecode caches, which compare time and size, can then neither
    go stale nor be rebuilt for nothing when a workspace is used again.
    """
    return 1_000_000_000 + int(blob[:7], 16)


def write(place: Path, mode: str, payload: bytes, mtime: int) -> None:
    """Create one file or link at a place that must not exist."""
    if mode == SYMLINK:
        os.symlink(os.fsdecode(payload), place)  # noqa: PTH211 - bytes-exact target
        os.utime(place, (time.time(), mtime), follow_symlinks=False)
        return
    permissions = 0o755 if mode == EXECUTABLE else 0o644
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(place, flags, permissions)
    try:
        view = memoryview(payload)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fchmod(descriptor, permissions)
        os.utime(descriptor, (time.time(), mtime))  # cleaners of temporary directories go by access time
    finally:
        os.close(descriptor)


def remove(place: Path) -> None:
    """Delete whatever is at `place`, even below directories without write permission."""
    if place.is_symlink() or not place.is_dir():
        place.unlink(missing_ok=True)
        return

    def unlock(function: Callable[[str], object], path: str, _: object) -> None:
        Path(path).parent.chmod(0o700)
        if not Path(path).is_symlink():
            Path(path).chmod(0o700)
        if function in (os.scandir, os.open, os.listdir):
            shutil.rmtree(path, onerror=unlock)
        else:
            function(path)

    shutil.rmtree(place, onerror=unlock)


def directories(paths: Mapping[str, object]) -> set[str]:
    """All directories that hold the given paths, the top ("") left out."""
    found: set[str] = set()
    for path in paths:
        parent = path.rpartition("/")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return found
