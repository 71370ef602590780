"""What do the targets do as plain Python, in a process that never holds an expected value and cannot read the tests?"""

from __future__ import annotations

import posixpath
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_agentflow.adapters.bare import run_bare
from pytest_agentflow.adapters.snapshot import Snapshot
from pytest_agentflow.core import checks
from pytest_agentflow.core.baring import Bare, make_bare, plain_name
from pytest_agentflow.core.evidence import LayerFacts
from pytest_agentflow.core.layers.bare import wrong_with
from pytest_agentflow.core.plain_values import encode
from pytest_agentflow.stages.oracle.room import Room
from pytest_agentflow.stages.oracle.twins import sample

Told = dict[str, dict[str, Any]]
MOST_RECORDED = 20.0  # seconds of tests whose calls are watched
# What an ordinary environment may refuse and the harness's allows: no word about the patch.
_SURROUNDINGS = ("ModuleNotFoundError", "FileNotFoundError", "PermissionError", "OSError", "ImportError")


@dataclass(frozen=True, slots=True)
class _How:
    tree: Snapshot
    equalities_only: bool = False
    disguised: bool = True
    record: bool = False


def measure(room: Room) -> Iterator[LayerFacts]:
    targets = [t for t in sample(room.attempt.targets) if t in room.shapes]
    told = _measure(room, targets, _How(room.patched, record=room.expected_seconds(targets) < MOST_RECORDED))
    bad = [t for t in targets if told[t]["status"] != "n/a" and wrong_with(told[t])]
    if bad:
        here = _measure(room, bad, _How(room.patched, disguised=False))
        for target in bad:
            told[target] = _second(told[target], here[target])
    broken = [t for t in bad if told[t]["status"] in ("exception", "unloadable")]
    if broken and not _holds_here(room, broken, told):
        for target in broken:
            told[target].update(
                status="n/a",
                detail=f"no test of its kind runs without pytest ({told[target]['detail'][:120]})",
            )
    for target in set(sample(room.attempt.targets)) - set(targets):
        told[target] = {"status": "n/a", "detail": "not a plain function or method", "checks": []}
    yield LayerFacts("bare call", {"targets": told})


def _second(first: Mapping[str, Any], again: Mapping[str, Any]) -> dict[str, Any]:
    """What counts where an ordinary environment and the harness's own differ."""
    if wrong_with(again) or again["status"] == "n/a":
        return dict(again)
    if first["status"] == "exception" and any(name in first["detail"] for name in _SURROUNDINGS):
        return dict(again)
    return {**first, "only_here": True}


def _measure(room: Room, ids: Sequence[str], how: _How) -> Told:
    """Values that cannot cross without their code are asked, in a second process, which of several they equal."""
    told = _run(room, ids, how)
    opaque = [t for t in ids if any(c.get("opaque") for c in told[t]["checks"])]
    if opaque:
        told.update(_run(room, opaque, replace(how, equalities_only=True, record=False)))
    return told


def _run(room: Room, ids: Sequence[str], how: _How) -> Told:
    """Each test's facts. Node ids of tests that share a file share the module's plain form."""
    bares = dict(_bares(room, ids, how.equalities_only))
    draw, places = random.SystemRandom(), {}
    tests = []
    told: Told = {}
    for nodeid in ids:
        bare = bares.get(nodeid.partition("::")[0])
        if bare is None:
            told[nodeid] = {"status": "n/a", "detail": "its module cannot be made plain", "checks": []}
        elif nodeid.rpartition("::")[2].partition("[")[0] not in bare.functions:
            told[nodeid] = {"status": "n/a", "detail": "inherited from another file", "checks": []}
        else:
            request, places[nodeid] = _request(room, nodeid, bares, how, draw)
            tests.append(request)
    if not tests:
        return told
    with room.lease(how.tree) as (workspace, scratch, spec):
        hidden = [workspace / p for p in room.test_files() if p.endswith(".py")]
        beside = dict.fromkeys(_import_root(room, p) for p in bares)
        plain = replace(spec, import_roots=tuple(dict.fromkeys([*spec.import_roots, *beside])))
        answers, problem = run_bare(
            plain, workspace, scratch, sources={p: b.source for p, b in bares.items()}, packages={p: _package(room, p) for p in bares}, tests=tests, hidden=hidden,
            timeout=room.limit(ids), disguised=how.disguised, record=how.record,
        )  # fmt: skip
    for test in tests:
        target = test["id"]
        answer = answers.get(target)
        if answer is None:
            told[target] = {"status": "lost", "detail": problem or "gave no answer", "checks": []}
        else:
            room.calls.setdefault(target, answer["calls"])
            room.unclear |= set() if answer["whole"] else {target}
            told[target] = _facts(
                answer, bares[target.partition("::")[0]], room.shapes[target], places[target]
            )
    return told


def _bares(room: Room, ids: Iterable[str], equalities_only: bool) -> Iterator[tuple[str, Bare]]:
    for path in {i.partition("::")[0] for i in ids}:
        for name in (path, *_conftests(room, path)):
            try:
                bare = make_bare(room.text(name) or "", equalities_only=equalities_only)
            except (SyntaxError, ValueError, RecursionError):
                continue
            if bare.source:
                yield name, bare


def _import_root(room: Room, path: str) -> str:
    """The directory that pytest puts on the import path for a test file: helpers beside it are imported from there."""
    place = posixpath.dirname(path)
    while posixpath.join(place, "__init__.py") in room.ctx.base.files:
        place = posixpath.dirname(place)
    return place or "."


def _package(room: Room, path: str) -> str:
    inside = posixpath.relpath(posixpath.dirname(path) or ".", _import_root(room, path))
    return "" if inside == "." else inside.replace("/", ".")


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


def _request(
    room: Room, nodeid: str, bares: Mapping[str, Bare], how: _How, draw: random.Random
) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """The request for one test, and where among the candidates of each check the expected value stands."""
    shape = room.shapes[nodeid]
    path = nodeid.partition("::")[0]
    candidates: dict[str, Any] = {}
    places: dict[str, list[int]] = {}
    for number, check in enumerate(bares[path].checks if how.equalities_only else ()):
        if not check.blind:
            candidates[str(number)] = (
                None  # both sides are the code's: compared there, with copies that differ
            )
            continue
        try:
            mixed = [checks.decoys(v, draw) for v in check.expected(shape["indices"])]
            rows = [[encode(v) for v in values] for values, _ in mixed]
            candidates[str(number)] = {"rows": rows, **check.order()}
            places[str(number)] = [place for _, place in mixed]
        except (LookupError, ValueError, TypeError):  # another test's parameters
            continue
    return {
        "id": nodeid, "path": path, "function": plain_name(shape["function"]),
        "cls": ".".join(plain_name(p) for p in shape["cls"].split(".") if p),
        "indices": shape["indices"], "fixtures": shape["fixtures"],
        "conftests": [c for c in _conftests(room, path) if c in bares], "candidates": candidates,
    }, places  # fmt: skip


def _facts(
    answer: Mapping[str, Any], bare: Bare, shape: Mapping[str, Any], places: Mapping[str, list[int]]
) -> dict[str, Any]:
    """What was handed out, judged here: `wrong` in words, `opaque` where it has to be asked again."""
    told, counts = [], dict.fromkeys(range(len(bare.checks)), 0)
    for number, sent in answer["checks"]:
        check = bare.checks[number]
        if "picked" in sent and str(number) in places:
            rows = places[str(number)]
            sent = {**sent, "right": rows[counts[number] % len(rows)]}  # noqa: PLW2901
        try:
            wrong = checks.wrong(check, sent, shape["indices"])
        except (LookupError, ValueError, TypeError) as problem:
            wrong = f"handed out what cannot be read: {type(problem).__name__}"
        counts[number] += 1
        told.append({"line": check.line, "wrong": wrong, "opaque": bool(sent.get("opaque"))})
    name = shape.get("qualname", "")
    missing = [bare.checks[n].line for n, least in bare.needed.get(name, {}).items() if counts[n] < least]
    if answer["native"] < bare.held.get(name, 0):
        missing.append(0)
    words = {"assertion": "an assertion fails: ", "exception": "it raises "}.get(answer["status"], "")
    return {
        "status": str(answer["status"]), "detail": words + str(answer["detail"]), "checks": told, "missing": missing,
        "compared": len(told), "native": answer["native"],
    }  # fmt: skip


def _holds_here(room: Room, broken: Sequence[str], now: Told) -> bool:
    """Whether passing tests of the same files run plainly on the base: else it is the method that fails, not the patch.

    Where there are none: whether the targets themselves end otherwise on the base.
    """
    files = {t.partition("::")[0] for t in broken}
    near = [g for g in room.attempt.guards if g.partition("::")[0] in files and "::" in g and "[" not in g][
        :5
    ]
    for guard in near:
        parts = guard.split("::")[1:]
        room.shapes.setdefault(
            guard, {"function": parts[-1], "cls": ".".join(parts[:-1]), "indices": {}, "fixtures": []}
        )
    told = _measure(room, near or broken, _How(room.ctx.base, disguised=False))
    if near:
        return any(t["status"] == "done" for t in told.values())
    return not all(
        told[t]["status"] == now[t]["status"] and told[t]["detail"] == now[t]["detail"] for t in broken
    )
