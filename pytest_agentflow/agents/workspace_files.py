"""Which file inside the workspace does a model mean, and may it be read or written? Links never lead out.

A path is resolved first; the resolved path is then opened component by component without following any link, so that a
link swapped in meanwhile is an error and not a way out.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

from pytest_agentflow.core.scope import ScopePolicy

FILE_CAP = 256 * 1024
LISTED = 500
HIDDEN = frozenset({".git", "__pycache__", ".agentflow", ".pytest_cache", ".venv", "venv", "node_modules"})


class Refused(Exception):
    """A file operation that is not allowed or not possible; the message is for the model."""


def locate(root: Path, named: str) -> str:
    """The path relative to `root`, POSIX style, after following links. Raises Refused when it leaves the workspace."""
    if not named or "\0" in named:
        raise Refused("an empty or impossible path")
    base = Path(os.path.realpath(root))
    joined = base / named  # an absolute path stays absolute
    resolved = Path(os.path.realpath(joined))
    if not resolved.is_relative_to(base):
        raise Refused(f"{named!r} is outside the workspace")
    relative = resolved.relative_to(base).as_posix()
    if ".git" in PurePosixPath(relative).parts:
        raise Refused("the .git directory is not part of the workspace")
    return relative


def read(root: Path, relative: str) -> str:
    """The text of a regular file up to the cap."""
    descriptor = _open(root, relative, os.O_RDONLY)
    with os.fdopen(descriptor, "rb") as stream:
        data = stream.read(FILE_CAP + 1)
    if len(data) > FILE_CAP:
        raise Refused(f"{relative} is larger than {FILE_CAP // 1024} KiB; look at parts of it with bash")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"{relative} is not UTF-8 text") from error


def write(root: Path, relative: str, text: str) -> None:
    """Replace or create a file; folders on the way are made. An existing file keeps its mode."""
    data = text.encode("utf-8")
    if len(data) > FILE_CAP:
        raise Refused(f"files over {FILE_CAP // 1024} KiB are not written")
    (Path(os.path.realpath(root)) / relative).parent.mkdir(parents=True, exist_ok=True)
    descriptor = _open(root, relative, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)


def listing(root: Path, relative: str) -> str:
    """The names below a folder, two levels deep."""
    base = Path(os.path.realpath(root)) / relative
    found: list[str] = []
    for folder, names, files in os.walk(base):
        depth = len(Path(folder).relative_to(base).parts)
        names[:] = sorted(n for n in names if n not in HIDDEN) if depth < 2 else []
        place = Path(folder).relative_to(Path(os.path.realpath(root))).as_posix()
        found += [f"{place}/{n}".removeprefix("./") for n in sorted(files) if not n.endswith(".pyc")]
    more = f"\n… and {len(found) - LISTED} more" if len(found) > LISTED else ""
    return "\n".join(found[:LISTED]) + more or "(empty)"


def is_folder(root: Path, relative: str) -> bool:
    """True for a directory of the workspace."""
    return (Path(os.path.realpath(root)) / relative).is_dir()


def refusal(root: Path, relative: str, policy: ScopePolicy) -> str | None:
    """Why an edit could not be kept, or None: the judge's own rule, told before the edit is made instead of after it."""
    fresh = not (Path(os.path.realpath(root)) / relative).exists()
    return policy.refuses(relative, new=fresh)


def _open(root: Path, relative: str, flags: int) -> int:
    parts = PurePosixPath(relative).parts
    if not parts or parts == (".",):
        raise Refused("that is a folder")
    folder = os.open(os.path.realpath(root), os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = deeper
        descriptor = os.open(parts[-1], flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644, dir_fd=folder)
    except OSError as error:
        raise Refused(f"{relative}: {error.strerror}") from error
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Refused(f"{relative} is not a regular file")
    return descriptor
