"""What does a tree in our store hold, how is a changed one derived, and how does it become files?"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_agentflow.adapters import gitcmd, overlay, tree_files
from pytest_agentflow.adapters import store as objects
from pytest_agentflow.core import gitobjects
from pytest_agentflow.core.gitobjects import REGULAR, Entry
from pytest_agentflow.errors import AgentflowError

_FORMAT = 1
_BASE = "base.json"  # the manifest of the snapshot taken last: what derived trees fall back to


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One tree. `overlay` are ignored files that are needed to run; `protected` are directories that nobody may edit."""

    store: Path
    tree: str
    files: Mapping[str, Entry] = field(repr=False)
    overlay: Mapping[str, str] = field(default_factory=dict, repr=False)  # path -> sha256
    protected: tuple[str, ...] = ()  # submodules and nested repositories, included as plain files
    head: str = ""  # the commit that the user's HEAD named
    notes: tuple[str, ...] = ()  # what was left out, in words


def save_manifest(snapshot: Snapshot) -> None:
    manifest = {
        "version": _FORMAT,
        "tree": snapshot.tree,
        "head": snapshot.head,
        "overlay": dict(snapshot.overlay),
        "protected": list(snapshot.protected),
        "notes": list(snapshot.notes),
    }
    payload = json.dumps(manifest, indent=1).encode()
    for name in (f"{snapshot.tree}.json", _BASE):
        objects.atomic_write(snapshot.store / "snapshots" / name, payload)


def load(store: Path, tree: str) -> Snapshot:
    """The snapshot with this tree id from a store, also one that was copied elsewhere."""
    manifest = store / "snapshots" / f"{tree}.json"
    if not manifest.exists():
        manifest = store / "snapshots" / _BASE
    try:
        facts = json.loads(manifest.read_bytes())
        files = tree_entries(store, tree)
    except (OSError, ValueError, gitcmd.GitError) as error:
        raise AgentflowError(
            f"The run's store {store} does not hold tree {tree}.",
            "Copy the whole .agentflow directory, or start a new run.",
        ) from error
    return Snapshot(
        store, tree, files, facts["overlay"], tuple(facts["protected"]), facts["head"], tuple(facts["notes"])
    )


def tree_entries(store: Path, tree: str) -> dict[str, Entry]:
    files = {}
    for record in gitcmd.run("ls-tree", "-r", "-z", "--full-tree", tree, git_dir=store).split(b"\0"):
        if record:
            facts, _, path = record.partition(b"\t")
            mode, _, oid = facts.decode().split()
            files[os.fsdecode(path)] = (mode, oid)
    return files


def with_entries(snapshot: Snapshot, entries: Mapping[str, Entry | None]) -> Snapshot:
    """The snapshot with these paths replaced (None: removed); blobs must be in the store already."""
    files = dict(snapshot.files)
    for path, entry in entries.items():
        if entry is None:
            files.pop(path, None)
        else:
            files[path] = entry
    known = {oid for oid, _ in gitobjects.trees(snapshot.files).values()}
    return replace(snapshot, tree=objects.add_trees(snapshot.store, files, known), files=files)


def with_files(snapshot: Snapshot, files: Mapping[str, bytes | None]) -> Snapshot:
    """A new tree = this one with whole-file replacements; modes are kept, new files are plain."""
    entries: dict[str, Entry | None] = {}
    for path, payload in files.items():
        mode = snapshot.files.get(path, (REGULAR, ""))[0]
        entries[path] = None if payload is None else (mode, objects.add(snapshot.store, "blob", payload))
    return with_entries(snapshot, entries)


def content(snapshot: Snapshot, path: str) -> bytes | None:
    """The bytes of one file of the snapshot; None when it is not there."""
    entry = snapshot.files.get(path)
    return objects.read_blob(snapshot.store, entry[1]) if entry else None


def contents(snapshot: Snapshot, paths: list[str]) -> dict[str, bytes]:
    """The bytes of several files, through one git process."""
    owners: dict[str, list[str]] = {}
    for path in paths:
        if path in snapshot.files:
            owners.setdefault(snapshot.files[path][1], []).append(path)
    found: dict[str, bytes] = {}
    objects.read_blobs(
        snapshot.store, owners, lambda oid, data: found.update(dict.fromkeys(owners[oid], data))
    )
    return found


def materialise(snapshot: Snapshot, destination: Path) -> None:
    """Write every file, link and overlay file of the snapshot into `destination`, which must be empty or missing."""
    with objects.writing(f"a workspace in {destination}"):
        destination.mkdir(parents=True, exist_ok=True)
        write_files(snapshot, destination, list(snapshot.files), list(snapshot.overlay))


def write_files(snapshot: Snapshot, destination: Path, paths: list[str], overlaid: list[str]) -> None:
    """Write some of the snapshot's files at places that are free; directories are made as needed."""
    for directory in sorted(tree_files.directories(dict.fromkeys([*paths, *overlaid]))):
        (destination / directory).mkdir(mode=0o755, exist_ok=True)
    owners: dict[str, list[str]] = {}
    for path in paths:
        owners.setdefault(snapshot.files[path][1], []).append(path)

    def write(oid: str, payload: bytes) -> None:
        for path in owners[oid]:
            tree_files.write(destination / path, snapshot.files[path][0], payload, tree_files.moment(oid))

    objects.read_blobs(snapshot.store, owners, write)
    for path in overlaid:
        _write_overlay(snapshot, path, destination / path)


def _write_overlay(snapshot: Snapshot, path: str, place: Path) -> None:
    digest = snapshot.overlay[path]
    source = overlay.kept_file(snapshot.store, digest)
    try:
        status = source.stat()
        # Built files must look newer than their sources, whose times lie before 2010.
        mtime = tree_files.moment(digest) + 400_000_000
        executable = gitobjects.EXECUTABLE if status.st_mode & 0o100 else REGULAR
        tree_files.write(place, executable, source.read_bytes(), mtime)
    except FileNotFoundError as error:
        raise AgentflowError(
            f"The run's store lacks the ignored file {path}.",
            "Copy the whole .agentflow directory, or start a new run.",
        ) from error
