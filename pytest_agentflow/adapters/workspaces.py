"""Where do attempts and verdicts work? In pooled private copies outside the repository, reset between leases.

A root directory belongs to one run. Every process that uses it holds a shared lock on its marker file; `kill -9` releases
the lock, so whatever nobody holds any more is a leftover that the next start sweeps away.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pytest_agentflow.adapters import store as objects
from pytest_agentflow.adapters import tree_files
from pytest_agentflow.adapters.trees import Snapshot, write_files
from pytest_agentflow.core.gitobjects import Entry, blob_id
from pytest_agentflow.errors import AgentflowError

_MARKER = "owner.json"
_ABANDONED_AFTER = 3600.0
_RACY_NS = 50_000_000  # a change this close to the stamp may share its clock tick


def base_directory() -> Path:
    """Where all roots of this user lie: private, below the temporary directory."""
    base = Path(tempfile.gettempdir()) / f"agentflow-{os.getuid()}"
    with objects.writing("the workspaces' directory"):
        base.mkdir(mode=0o700, exist_ok=True)
    status = base.lstat()
    if base.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise AgentflowError(
            f"{base} is not a private directory of this user.",
            "Remove it, or set TMPDIR to a directory of your own.",
        )
    return base


def private_root(run: str, outside: Path) -> Path:
    """A new path for the workspaces of `run`, never inside the repository at `outside`."""
    base = base_directory()
    if base.resolve().is_relative_to(outside.resolve()):
        raise AgentflowError(
            f"The temporary directory {base.parent} lies inside the repository.",
            "Set TMPDIR to a directory outside of it.",
        )
    return base / f"{run}-{uuid.uuid4().hex[:8]}"


@dataclass(slots=True)
class _Slot:
    """One copy. `stamps` says what we wrote and how it looked on disk; whatever looks different is written again."""

    directory: Path
    stamps: dict[str, tuple[tuple[int, ...], Entry]] = field(default_factory=dict)
    racy: set[str] = field(default_factory=set)
    tree: str = ""

    @property
    def path(self) -> Path:
        return self.directory / "tree"


class Pool:
    """Leases of workspaces below one root; safe for threads, and for processes that each make their own pool there."""

    def __init__(self, root: Path, *, run: str = "") -> None:
        self.root = root
        self._guard = threading.Lock()
        self._free: list[_Slot] = []
        self._count = 0
        with objects.writing("the workspaces' directory"):
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._marker = _hold(root / _MARKER, run)
            self._own = root / f"p{os.getpid()}-{uuid.uuid4().hex[:6]}"
            self._own.mkdir(mode=0o700)

    @contextmanager
    def lease(self, snapshot: Snapshot, name: str = "", *, pristine: bool = False) -> Iterator[Path]:
        """A directory that holds exactly `snapshot`, for as long as the block runs.

        `pristine` trusts no stamp: every byte of a used copy is compared before it is lent again. For judging.
        """
        slot = self._acquire(snapshot)
        try:
            (slot.directory / "lease").write_text(f"{name}\n", encoding="utf-8", errors="replace")
            with objects.writing(f"a workspace in {slot.path}"):
                _reset(slot, snapshot, pristine)
        except BaseException:
            self._drop(slot)
            raise
        try:
            yield slot.path
        finally:
            with self._guard:
                self._free.append(slot)

    def _acquire(self, snapshot: Snapshot) -> _Slot:
        with self._guard:
            same = next((slot for slot in self._free if slot.tree == snapshot.tree), None)
            if same or self._free:
                slot = same or self._free[-1]
                self._free.remove(slot)
                return slot
            self._count += 1
            slot = _Slot(self._own / f"w{self._count}")
        slot.directory.mkdir(mode=0o700)
        return slot

    def _drop(self, slot: _Slot) -> None:
        with suppress(OSError):
            tree_files.remove(slot.directory)

    def sweep(self) -> tuple[Path, ...]:
        """Remove what dead runs left below the same parent; returns what was removed."""
        return sweep(self.root.parent)

    def close(self) -> None:
        """Remove this pool's copies, and the root with the last pool."""
        if self._marker < 0:
            return
        with self._guard:
            self._free.clear()
        tree_files.remove(self._own)
        os.close(self._marker)
        self._marker = -1
        _remove_if_dead(self.root)


def _hold(marker: Path, run: str) -> int:
    """Open the marker with a shared lock. A sweeper that was faster takes the root away: make it again."""
    for _ in range(50):
        marker.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(marker, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            time.sleep(0.02)
            continue
        with suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == marker.stat().st_ino:
                if not os.fstat(descriptor).st_size:
                    os.write(descriptor, json.dumps({"run": run, "pid": os.getpid()}).encode() + b"\n")
                return descriptor
        os.close(descriptor)
    raise AgentflowError(f"{marker.parent} is being removed by another process.", "Start again.", exit_code=3)


def sweep(base: Path | None = None) -> tuple[Path, ...]:
    """Remove the roots of runs that no process works in any more; a directory without our marker goes after an hour."""
    removed = []
    place = base or base_directory()
    for root in sorted(place.iterdir()) if place.is_dir() else []:
        if root.is_symlink() or not root.is_dir():
            continue
        if _remove_if_dead(root) if (root / _MARKER).is_file() else _remove_if_abandoned(root):
            removed.append(root)
    return tuple(removed)


def _remove_if_abandoned(root: Path) -> bool:
    """A run that was killed before its first pool stood leaves a root without a marker."""
    with suppress(FileNotFoundError):
        if time.time() - root.stat().st_mtime > _ABANDONED_AFTER:
            tree_files.remove(root)
            return True
    return False


def _remove_if_dead(root: Path) -> bool:
    """Remove the root unless somebody holds its marker. The marker goes last: a killed sweep is finished by the next one."""
    try:
        descriptor = os.open(root / _MARKER, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for child in root.iterdir():
            if child.name != _MARKER:
                tree_files.remove(child)
        (root / _MARKER).unlink()
        root.rmdir()
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return False  # another sweeper was faster
    finally:
        os.close(descriptor)
    return True


def _reset(slot: _Slot, snapshot: Snapshot, pristine: bool) -> None:
    """Make the slot hold exactly the snapshot, writing only what differs."""
    kept: dict[str, tuple[tuple[int, ...], Entry]] = {}
    wanted = _wanted(snapshot)
    if slot.path.is_dir() and not slot.path.is_symlink():
        kept = _keep(slot, wanted, pristine)
    else:
        tree_files.remove(slot.path)
        slot.path.mkdir(mode=0o755)
    paths = [path for path in snapshot.files if path not in kept]
    overlaid = [path for path in snapshot.overlay if path not in kept]
    slot.stamps, slot.tree = {}, ""  # an interrupted write must not be trusted
    write_files(snapshot, slot.path, paths, overlaid)
    written = {path: (_stamp(slot.path / path), wanted[path]) for path in (*paths, *overlaid)}
    now = time.time_ns()
    slot.racy = {path for path, (stamp, _) in written.items() if stamp[4] > now - _RACY_NS}
    slot.stamps = kept | written
    slot.tree = snapshot.tree


def _wanted(snapshot: Snapshot) -> dict[str, Entry]:
    return dict(snapshot.files) | {path: ("overlay", digest) for path, digest in snapshot.overlay.items()}


def _stamp(place: Path) -> tuple[int, ...]:
    found = tree_files.describe(place.lstat())
    assert found
    return found.stamp


def _keep(slot: _Slot, wanted: dict[str, Entry], pristine: bool) -> dict[str, tuple[tuple[int, ...], Entry]]:
    """Delete what does not belong, and return what may stay as it is."""
    kept = {}
    directories = tree_files.directories(wanted)
    slot.path.chmod(0o755)

    def skip(path: str, is_directory: bool) -> bool:
        if not is_directory:
            return False
        if path not in directories:
            tree_files.remove(slot.path / path)
            return True
        (slot.path / path).chmod(0o755)
        return False

    for path, entry in tree_files.walk(slot.path, skip):
        found = tree_files.describe(entry.stat(follow_symlinks=False))
        known = slot.stamps.get(path)
        if (
            found
            and known
            and known == (found.stamp, wanted.get(path))
            and (not (pristine or path in slot.racy) or _same_bytes(slot.path / path, found.mode, known[1]))
        ):
            kept[path] = known
        else:
            tree_files.remove(slot.path / path)
    return kept


def _same_bytes(place: Path, mode: str, entry: Entry) -> bool:
    """Overlay files are simply written again; for the rest the blob id decides."""
    return entry[0] == mode and blob_id(tree_files.read(place, mode)) == entry[1]
