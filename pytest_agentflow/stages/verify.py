"""verify: what can be measured about a patch? Layers run cold, cheapest first, and stop at the first hard failure."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from pytest_agentflow.adapters import snapshot
from pytest_agentflow.adapters.installed import altered, installed_modules, package_directories
from pytest_agentflow.adapters.patches import PatchConflict
from pytest_agentflow.core import gitobjects
from pytest_agentflow.core.evidence import Evidence, LayerFacts
from pytest_agentflow.core.generated import difference
from pytest_agentflow.core.helpers import serves_tests
from pytest_agentflow.core.layers import contradiction, disagreement
from pytest_agentflow.core.layers.scan import HARNESS, NOTABLE
from pytest_agentflow.core.model import Attempt, Patch, VerdictKind
from pytest_agentflow.core.verdict import speak
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.stages.contradict import experiment
from pytest_agentflow.stages.oracle import bare, further, generated, reruns, strength, suite, twins
from pytest_agentflow.stages.oracle.room import Room, VerifyContext

__all__ = ["VerifyContext", "gather", "held_against"]

Measure = Callable[[Room], Iterator[LayerFacts]]


def gather(attempt: Attempt, candidate: Patch, ctx: VerifyContext) -> Evidence:
    """Measure until a layer refuses; the evidence holds what was measured up to there, in order.

    An empty patch is welcome: it is refused at once, and asked is only whether tests contradict each other.
    """
    if "held-out" in ctx.layers_off:
        attempt = replace(attempt, hidden_choose=(), hidden_judge=())
    room = Room(attempt, candidate, ctx, ctx.base)
    told: dict[str, LayerFacts] = {}
    try:
        for facts in _measured(room):
            told.pop(facts.layer, None)
            told[facts.layer] = facts
            kind = refusal(facts)
            if kind is not None:
                if kind in contradiction.ASKED_AFTER and not room.off(contradiction.NAME):
                    told[contradiction.NAME] = LayerFacts(
                        contradiction.NAME, {"payloads": list(experiment(room))}
                    )
                break
    finally:
        shutil.rmtree(ctx.scratch, ignore_errors=True)
    tree = room.patched.tree if room.patched is not ctx.base else ""
    return Evidence(attempt.id, ctx.base.tree, tree, candidate.paths, tuple(told.values()), ctx.confidence)


def refusal(facts: LayerFacts) -> VerdictKind | None:
    """What this layer decides, by the same pure judgement as later."""
    return speak(facts).kind


def _measured(room: Room) -> Iterator[LayerFacts]:
    """Every layer's facts in order. A layer that cannot measure says so: that is never green."""
    for layers, measure in STEPS:
        began = time.monotonic()
        shapes_wanted = layers == ("twins",) and not room.off(
            "bare call"
        )  # twins tell how tests are put together
        if all(room.off(layer) for layer in layers) and not shapes_wanted:
            yield from (LayerFacts(layer, skipped="switched off") for layer in layers)
            continue
        try:
            for facts in measure(room):
                if room.off(facts.layer):
                    yield LayerFacts(facts.layer, skipped="switched off")
                else:
                    now = time.monotonic()
                    yield LayerFacts(
                        facts.layer, facts.facts, facts.skipped, facts.error, round(now - began, 3)
                    )
                    began = time.monotonic()
        except (AgentflowError, OSError) as problem:
            yield LayerFacts(layers[0], error=f"{type(problem).__name__}: {problem}")
            return


def _scope(room: Room) -> Iterator[LayerFacts]:
    """Tests are known by their ids too, whatever their files are called; links and odd modes are no patch."""
    base, policy = room.ctx.base, room.ctx.scope
    deciding = set(room.test_files())
    refused = {}
    fresh = any(path not in base.files for path in room.patch.paths)
    known = {part.removesuffix(".py") for path in base.files for part in path.split("/")}
    installed = installed_modules(room.ctx.spec) - known if fresh else frozenset[str]()
    for path in room.patch.paths:
        why = policy.refuses(path, new=path not in base.files, installed=installed)
        if why is None and not policy.opens_tests(path):
            why = _why_testing(room, path, deciding)
        if why is not None:
            refused[path] = why
    for line in room.patch.text.splitlines():
        if line.startswith(("new file mode 12", "new file mode 16", "new mode 12", "new mode 16")):
            refused.setdefault(room.patch.paths[0], "a symbolic link or a submodule")
    yield LayerFacts("scope", {"paths": list(room.patch.paths), "refused": refused})


def _why_testing(room: Room, path: str, deciding: set[str]) -> str | None:
    if path in deciding:
        return "holds tests of the suite"
    roots = room.ctx.spec.import_roots or (".",)
    if serves_tests(path, room.ctx.base.files, deciding, roots, room.text):
        return "is there for the tests alone"
    return None


def _checkout(room: Room) -> Iterator[LayerFacts]:
    base, conflict = room.ctx.base, ""
    undeclared: list[str] = []
    try:
        room.patched = snapshot.apply(base, room.patch)
        changed = gitobjects.changed(base.files, room.patched.files)
        undeclared = sorted(set(changed) - set(room.patch.paths))
    except PatchConflict as problem:
        conflict = problem.cause
    yield LayerFacts(
        "checkout",
        {"base": base.tree, "tree": room.patched.tree, "conflict": conflict, "undeclared": undeclared},
    )


def _scan(room: Room) -> Iterator[LayerFacts]:
    """The words; what the code does is seen in the first session."""
    for path in room.patch.paths:
        before, after = room.text(path) or "", room.text(path, base=False) or ""
        old, now = before.casefold(), after.casefold()
        words = [w for w in HARNESS if now.count(w) > old.count(w)]
        words += [w for w in NOTABLE if after.count(w) > before.count(w)]
        if "pytest" in old:  # a project about pytest may well speak of it
            words = [w for w in words if w not in HARNESS or w == "agentflow"]
        if words:
            room.words[path] = words
    yield LayerFacts("scan", {"new": room.words, "peeks": [], "judging": [], "outlives": []})


def _isolation(room: Room) -> Iterator[LayerFacts]:
    spec = room.ctx.spec
    yield LayerFacts(
        "isolation",
        {
            "sandbox": spec.sandbox,
            "network": spec.network,
            "touched": sorted(room.touched),
            "foreign": sorted(room.foreign),
            "altered": altered(package_directories(spec)) if spec.sandbox == "none" else [],
        },
    )


# Layers of one step share sessions. Isolation is told last: it watched all of them.
STEPS: tuple[tuple[tuple[str, ...], Measure], ...] = (
    (("scope",), _scope),
    (("checkout",), _checkout),
    (("scan",), _scan),
    (("scan", "census", "sentinels", "targets", "held-out"), suite.measure_targets),
    (("twins",), twins.measure),
    (("bare call",), bare.measure),
    (("held-out",), generated.measure),
    (("census", "guards"), suite.measure_guards),
    (("further oracles",), further.measure),
    (("reruns",), reruns.measure),
    (("strength",), strength.measure),
    (("isolation",), _isolation),
)


def held_against(
    evidence: Evidence, attempt: Attempt, patch: Patch, other: Patch, ctx: VerifyContext
) -> Evidence:
    """The evidence on a weak patch, with what another weak one answers to the same calls beside it."""
    held = evidence.facts("held-out")
    calls = held.facts.get("calls", []) if held else []
    trees = [snapshot.apply(ctx.base, p) for p in (patch, other)]
    room = Room(attempt, patch, ctx, trees[0])
    try:
        answers = [generated.answers(room, tree, calls)[0] for tree in trees] if calls else [[], []]
    finally:
        shutil.rmtree(ctx.scratch, ignore_errors=True)
    facts = {"difference": difference(calls, *answers), "inputs": len(calls)}
    return replace(evidence, layers=(*evidence.layers, LayerFacts(disagreement.NAME, facts)))
