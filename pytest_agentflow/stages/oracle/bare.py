"""What do the targets do as plain Python, in a process that never holds an expected value and cannot read the tests?"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_agentflow.adapters.bare import run_bare
from pytest_agentflow.adapters.snapshot import Snapshot
from pytest_agentflow.core import plain_values
from pytest_agentflow.core.baring import Bare, expected_value, make_bare, plain_name
from pytest_agentflow.core.evidence import LayerFacts
from pytest_agentflow.stages.oracle.room import Room
from pytest_agentflow.stages.oracle.twins import sample

Told = dict[str, dict[str, Any]]


def measure(room: Room) -> Iterator[LayerFacts]:
    targets = [t for t in sample(room.attempt.targets) if t in room.shapes]
    told = _run(room, targets, room.patched, mask=True)
    opaque = [t for t in targets if any("opaque" in _tags(c["value"]) for c in told[t].get("checks", ()))]
    if opaque:  # values that cannot cross without their code are compared where they are
        told.update(_run(room, opaque, room.patched, mask=False))
    broken = [t for t in targets if told[t]["status"] == "exception"]
    if broken and not _holds_here(room, broken):
        for target in broken:
            told[target].update(
                status="n/a",
                detail=f"no test of its kind runs without pytest ({told[target]['detail'][:120]})",
            )
    for target in set(sample(room.attempt.targets)) - set(targets):
        told[target] = {"status": "n/a", "detail": "not a plain function or method", "checks": []}
    yield LayerFacts("bare call", {"targets": told})


def _tags(value: object) -> list[str]:
    return list(value) if isinstance(value, dict) else []


def _run(room: Room, ids: Sequence[str], tree: Snapshot, *, mask: bool) -> Told:
    """Each test's facts. Node ids of tests that share a file share the module's plain form."""
    sources, bares = _sources(room, ids, mask)
    tests = [_request(room, i, sources) for i in ids if i.partition("::")[0] in bares]
    told: Told = {
        i: {"status": "n/a", "detail": "its module cannot be made plain", "checks": []} for i in ids
    }
    if not tests:
        return told
    with room.lease(tree) as (workspace, scratch, spec):
        hidden = [workspace / p for p in room.test_files() if p.endswith(".py")]
        beside = dict.fromkeys(_import_root(room, p) for p in sources)
        plain = replace(spec, import_roots=tuple(dict.fromkeys([*spec.import_roots, *beside])))
        answers, problem = run_bare(
            plain, workspace, scratch, sources=sources, tests=tests, hidden=hidden, timeout=room.limit(ids)
        )
    for test in tests:
        target = test["id"]
        answer = answers.get(target)
        if answer is None:
            told[target] = {"status": "lost", "detail": problem or "gave no answer", "checks": []}
        else:
            told[target] = _facts(answer, bares[target.partition("::")[0]], room.shapes[target]["indices"])
    return told


def _sources(room: Room, ids: Sequence[str], mask: bool) -> tuple[dict[str, str], dict[str, Bare]]:
    sources, bares = {}, {}
    for path in {i.partition("::")[0] for i in ids}:
        for name in (path, *_conftests(room, path)):
            text = room.text(name)
            try:
                bare = make_bare(text or "", mask=mask)
            except (SyntaxError, ValueError):
                continue
            sources[name], bares[name] = bare.source, bare
    return sources, {p: b for p, b in bares.items() if sources.get(p)}


def _import_root(room: Room, path: str) -> str:
    """The directory that pytest puts on the import path for a test file: helpers beside it are imported from there."""
    place = posixpath.dirname(path)
    while posixpath.join(place, "__init__.py") in room.ctx.base.files:
        place = posixpath.dirname(place)
    return place or "."


def _conftests(room: Room, path: str) -> list[str]:
    """The base's conftests above a test file, outermost first."""
    found, place = [], posixpath.dirname(path)
    while True:
        name = posixpath.join(place, "conftest.py")
        if name in room.ctx.base.files:
            found.append(name)
        if not place:
            return found[::-1]
        place = posixpath.dirname(place)


def _request(room: Room, nodeid: str, sources: Mapping[str, str]) -> dict[str, Any]:
    shape = room.shapes[nodeid]
    path = nodeid.partition("::")[0]
    return {
        "id": nodeid, "path": path, "function": plain_name(shape["function"]),
        "cls": ".".join(plain_name(p) for p in shape["cls"].split(".") if p),
        "indices": shape["indices"], "fixtures": shape["fixtures"],
        "conftests": [c for c in _conftests(room, path) if c in sources],
    }  # fmt: skip


def _facts(answer: Mapping[str, Any], bare: Bare, indices: Mapping[str, int]) -> dict[str, Any]:
    checks = []
    for number, value in answer["checks"]:
        try:
            expected = plain_values.encode(expected_value(bare, number, indices))
        except (LookupError, ValueError):
            return {"status": "n/a", "detail": "an expected value that is no literal", "checks": []}
        checks.append({"line": bare.checks[number].line, "value": value, "expected": expected})
    status = str(answer["status"])
    detail = str(answer["detail"])
    if status == "assertion":
        detail = f"an assertion fails: {detail}"
    elif status == "exception":
        detail = f"it raises {detail}"
    return {"status": status, "detail": detail, "checks": checks, "native": answer["native"]}


def _holds_here(room: Room, broken: Sequence[str]) -> bool:
    """Whether passing tests of the same files run plainly on the base: else it is the method that fails, not the patch."""
    files = {t.partition("::")[0] for t in broken}
    near = [g for g in room.attempt.guards if g.partition("::")[0] in files and "::" in g][:5]
    for guard in near:
        parts = guard.partition("[")[0].split("::")[1:]
        room.shapes.setdefault(
            guard, {"function": parts[-1], "cls": ".".join(parts[:-1]), "indices": {}, "fixtures": []}
        )
    plain = [g for g in near if "[" not in g]
    if not plain:
        return True
    told = _run(room, plain, room.ctx.base, mask=True)
    return any(t["status"] == "done" for t in told.values())
