"""How do accepted changes reach the user's working tree, all or nothing, and how are they taken out again?

A record on disk goes first, then new contents beside their targets, then one mark: from there on the change is rolled
forward, also by the next start after `kill -9`; before it, nothing has happened. Nothing is ever written over a file whose
bytes or mode are not exactly the expected ones.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from pytest_agentflow.adapters import store as objects
from pytest_agentflow.adapters.branch import Commit, write_branch
from pytest_agentflow.adapters.exchange import (
    Change,
    current,
    discard,
    stage,
    swap,
    sync_directory,
    sync_parents,
    waiting_places,
)
from pytest_agentflow.adapters.repository import Repository
from pytest_agentflow.adapters.trees import Snapshot
from pytest_agentflow.core import gitobjects
from pytest_agentflow.core.gitobjects import Entry
from pytest_agentflow.errors import AgentflowError

__all__ = ["Commit", "Delivery", "Undone", "apply_to_tree", "recover", "recover_all", "undo", "write_branch"]

_FORMAT = 1


class State(StrEnum):
    PREPARED = "prepared"  # nothing in the tree has changed yet
    COMMITTED = "committed"  # the change is being made and will be completed
    DONE = "done"
    REFUSED = "refused"  # nothing in the tree has changed


@dataclass(frozen=True, slots=True)
class Delivery:
    """Whether the tree was changed; if not, why. `conflicts` are files that were changed meanwhile."""

    applied: bool
    reason: str = ""
    files: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Undone:
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Record:
    """The journal of one delivery. `changes` are in the direction in which they are being made."""

    place: Path
    store: Path
    changes: tuple[Change, ...]
    state: State
    direction: str = "apply"

    def save(self, state: State) -> _Record:
        record = replace(self, state=state)
        payload = {
            "version": _FORMAT,
            "direction": record.direction,
            "state": str(state),
            "store": os.path.relpath(record.store, record.place.parent),
            "changes": [
                {"path": c.path, "before": c.before, "after": c.after, "waiting": c.waiting}
                for c in record.changes
            ],
        }
        with objects.writing("the record of the delivery"):
            objects.atomic_write(record.place, json.dumps(payload, indent=1).encode(), sync=True)
            sync_directory(record.place.parent)
        return record


def apply_to_tree(repo: Repository, base: Snapshot, final: Snapshot, record: Path) -> Delivery:
    """Make the working tree's files what `final` says, where `base` is what they must still be; all or nothing."""
    paths = gitobjects.changed(base.files, final.files)
    changes = tuple(Change(path, base.files.get(path), final.files.get(path)) for path in paths)
    if record.exists() and _is_done(repo, record, changes):
        return Delivery(True, files=paths)
    return _make(repo.top, _Record(record, final.store, changes, State.PREPARED))


def _is_done(repo: Repository, record: Path, changes: tuple[Change, ...]) -> bool:
    """A resumed run delivers again: finish what the killed process began, and notice what it had finished."""
    recover(repo, record)
    made = _load(record)
    same = [(c.path, c.before, c.after) for c in made.changes] == [
        (c.path, c.before, c.after) for c in changes
    ]
    return same and made.state is State.DONE and made.direction == "apply"


def undo(repo: Repository, record: Path) -> Undone:
    """Take a delivery out again. Refuses when it was not delivered, or when a file was changed since."""
    recover(repo, record)
    made = _load(record)
    if made.direction == "undo":
        raise AgentflowError("This run's changes were taken out already.", "Nothing to do.")
    if made.state is not State.DONE:
        raise AgentflowError(
            "This run changed nothing in the working tree.",
            "Its patches are on its branch and in its directory: `agentflow show --diff RUN`.",
        )
    back = replace(made, changes=tuple(change.reversed() for change in made.changes), direction="undo")
    done = _make(repo.top, back)
    if not done.applied:
        raise AgentflowError(
            f"Nothing was undone: {done.reason}.",
            f"Take the change out by hand: agentflow show --diff {record.parent.name} | git apply -R --3way",
        )
    return Undone(done.files)


def recover(repo: Repository, record: Path) -> Delivery | None:
    """Finish what a killed process left half-way; None when there is nothing to finish."""
    if not record.exists():
        return None
    made = _load(record)
    if made.state is State.PREPARED:
        discard(repo.top, made.changes)
        return _unchanged(made, "the process ended before any file was changed")
    if made.state is State.COMMITTED:
        return _roll(repo.top, made)
    return None


def recover_all(repo: Repository, runs: Path) -> dict[str, Delivery]:
    """`recover` for every run below `runs`; what was finished or taken back, by run."""
    records = sorted(runs.glob("*/delivery.json"))
    found = {record.parent.name: recover(repo, record) for record in records}
    return {run: done for run, done in found.items() if done}


def summary(record: Path) -> Mapping[str, Any]:
    """Direction, state and files of a delivery, for whoever shows runs."""
    made = _load(record)
    return {"direction": made.direction, "state": str(made.state), "files": [c.path for c in made.changes]}


def _load(record: Path) -> _Record:
    try:
        facts = json.loads(record.read_bytes())
        changes = tuple(
            Change(c["path"], _entry(c["before"]), _entry(c["after"]), c["waiting"]) for c in facts["changes"]
        )
        store = (record.parent / facts["store"]).resolve()
        return _Record(record, store, changes, State(facts["state"]), facts["direction"])
    except FileNotFoundError as error:
        raise AgentflowError(
            f"{record} does not exist: that run delivered nothing.", "`agentflow show --list` lists the runs."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise AgentflowError(
            f"{record} is damaged.", "Use `git diff` and the run's patches instead.", 3
        ) from error


def _entry(value: Any) -> Entry | None:
    return None if value is None else (str(value[0]), str(value[1]))


def _make(top: Path, record: _Record) -> Delivery:
    """Check, write the record, prepare the new contents, check again, and from then on only forward."""
    if conflicts := _conflicts(top, record):
        return _unchanged(record, f"changed meanwhile: {', '.join(conflicts)}", conflicts)
    record = replace(record, changes=waiting_places(top, record.changes, uuid.uuid4().hex[:12])).save(
        State.PREPARED
    )
    try:
        for change in record.changes:
            stage(top, record.store, change)
        conflicts = _conflicts(top, record)
        committed = None if conflicts else record.save(State.COMMITTED)
    except (OSError, AgentflowError) as error:
        discard(top, record.changes)
        words = error.cause if isinstance(error, AgentflowError) else f"{error.strerror} ({error.filename})"
        return _unchanged(record, f"the new files could not be written: {words}")
    if committed:
        return _roll(top, committed)
    discard(top, record.changes)
    return _unchanged(record, f"changed meanwhile: {', '.join(conflicts)}", conflicts)


def _unchanged(record: _Record, reason: str, conflicts: tuple[str, ...] = ()) -> Delivery:
    """The tree is as before. After a refused undo the delivery is still in the tree, and its record says so."""
    with contextlib.suppress(
        AgentflowError
    ):  # a full disk: the older record says less, and nothing that is false
        if record.direction == "apply":
            record.save(State.REFUSED)
        else:
            was = tuple(change.reversed() for change in record.changes)
            replace(record, direction="apply", changes=was).save(State.DONE)
    return Delivery(False, reason, conflicts=conflicts)


def _conflicts(top: Path, record: _Record) -> tuple[str, ...]:
    return tuple(change.path for change in record.changes if current(top, change.path) != change.before)


def _roll(top: Path, record: _Record) -> Delivery:
    """Complete a committed change; when the user edited a file that is not done yet, take back what is done."""
    for change in record.changes:
        now = current(top, change.path)
        try:
            if now == change.before != change.after:
                swap(top, record.store, change)
            elif now != change.after:
                return _roll_back(top, record, f"changed meanwhile: {change.path}", (change.path,))
        except OSError as error:
            return _roll_back(top, record, f"{change.path} could not be written: {error.strerror}", ())
    discard(top, record.changes)
    sync_parents(top, record.changes)
    with contextlib.suppress(AgentflowError):  # a full disk: the next start finds every file done
        record.save(State.DONE)
    return Delivery(True, files=tuple(change.path for change in record.changes))


def _roll_back(top: Path, record: _Record, reason: str, conflicts: tuple[str, ...]) -> Delivery:
    for change in record.changes:
        if change.before != change.after and current(top, change.path) == change.after:
            swap(top, record.store, change.reversed())
    discard(top, record.changes)
    sync_parents(top, record.changes)
    return _unchanged(record, reason, conflicts)
