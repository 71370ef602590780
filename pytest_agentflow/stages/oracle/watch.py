"""What did the first session show beside results: what the patch looks at, what was replaced, what only tests read?

What the unchanged code does just as well is no news: the base is watched once per process, in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_agentflow.core.helpers import holds_expectations
from pytest_agentflow.core.model import SessionRecord
from pytest_agentflow.core.mutants import added_lines
from pytest_agentflow.stages.oracle.room import Room

PEEKS, INTEGRITY = "pytest_agentflow.child.peeks", "pytest_agentflow.child.integrity"
OUTLIVING = "pytest_agentflow.child.outliving"
KINDS = ("peeks", "reads", "outlives", "changed", "names")
_KNOWN: dict[tuple[str, ...], Mapping[str, list[Any]]] = {}


def plugins(room: Room) -> dict[str, dict[str, Any]]:
    tests = {"tests": room.test_files()}
    found = {} if room.off("scan") else {PEEKS: tests, OUTLIVING: {}}
    return found if room.off("sentinels") else {**found, INTEGRITY: tests}


def told(record: SessionRecord) -> Mapping[str, list[Any]]:
    return {kind: list(record.extra.get(kind, ())) for kind in KINDS}  # type: ignore[call-overload]


def _base(room: Room, ids: Sequence[str]) -> Mapping[str, list[Any]]:
    key = (room.ctx.base.tree, *sorted(room.ctx.layers_off), *ids)
    if key not in _KNOWN:
        _KNOWN[key] = told(room.run(ids, tree=room.ctx.base, plugins=plugins(room)))
    return _KNOWN[key]


def peeked(room: Room, ids: Sequence[str]) -> dict[str, Any]:
    """The facts of `scan`: the words, what the patched files newly look at, and patched files that only tests read."""
    paths = set(room.patch.paths)
    found = [p for p in room.seen.get("peeks", ()) if p["path"] in paths]
    if found:
        known = {(p["what"], p["path"]) for p in _base(room, ids)["peeks"]}
        found = [p for p in found if (p["what"], p["path"]) not in known]
    reads = room.seen.get("reads", ())
    by_tests = {r["path"] for r in reads if r["test"]} - {r["path"] for r in reads if not r["test"]}
    judging = sorted(p for p in paths & by_tests if holds_expectations(p))
    return {"new": room.words, "peeks": found, "judging": judging, "outlives": _outliving(room)}


def _outliving(room: Room) -> list[str]:
    """Lines of the patch that started a thread which is still there after the last test."""
    added = added_lines(room.patch.text)
    starts = [tuple(place) for told in room.seen.get("outlives", ()) for place in told["started"]]
    return sorted({f"{path}:{line}" for path, line in starts if line in added.get(path, ())})


def changed(room: Room, ids: Sequence[str]) -> list[str]:
    """Code of the machinery that the session replaced, and functions that the tests call from elsewhere than before."""
    found = list(room.seen.get("changed", ()))
    if found:
        known = set(_base(room, ids)["changed"])
        found = [name for name in found if name not in known]
    return found or _replaced(room, ids)


def _replaced(room: Room, ids: Sequence[str]) -> list[str]:
    """Functions in test modules whose code came from an unpatched file of the project, or from a tool, and comes from a patched one."""
    paths = set(room.patch.paths)
    names = [(n["file"], name, home) for n in room.seen.get("names", ()) for name, home in n["names"].items()]
    moved = [(file, name) for file, name, home in names if home in paths or home.startswith("<")]
    if not moved:
        return []
    before = {(n["file"], name): home for n in _base(room, ids)["names"] for name, home in n["names"].items()}
    files = room.ctx.base.files
    return [
        f"{file}: {name}"
        for file, name in moved
        if (home := before.get((file, name))) is not None and home in files and home not in paths
    ]
