"""How do the targets behave when their assertions are turned?"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_agentflow.core.evidence import LayerFacts
from pytest_agentflow.stages.oracle.room import Room

PLUGIN = "pytest_agentflow.child.twins"
MOST_TARGETS = 25  # of a larger cluster every n-th target is twinned


def sample(targets: tuple[str, ...] | list[str], most: int = MOST_TARGETS) -> list[str]:
    """An even spread over the targets."""
    step = max(1, -(-len(targets) // most))
    return list(targets)[::step]


def measure(room: Room) -> Iterator[LayerFacts]:
    targets = [t for t in sample(room.attempt.targets) if "::" in t]
    if not targets:
        yield LayerFacts("twins", skipped="the targets are modules that could not be collected")
        return
    files = sorted({t.partition("::")[0] for t in targets})
    baseline = room.ctx.baseline
    lines = {}
    for target in targets:
        failure = baseline[target].failure if target in baseline else None
        path = target.partition("::")[0]
        lines[target] = [f.line for f in failure.frames if f.path == path] if failure else []
    seconds = max(5.0, room.expected_seconds(list(baseline)) * 0.5)
    options = {"rootdir": room.ctx.spec.rootdir, "files": files, "lines": lines, "seconds": seconds}
    turned, limit = {PLUGIN: options}, room.limit(targets) + seconds
    record = room.run(targets, plugins=turned, timeout=limit)
    if (
        record.collect_errors
        and room.run(targets, tree=room.ctx.base, plugins=turned, timeout=limit).collect_errors
    ):
        yield LayerFacts("twins", skipped=f"cannot be instrumented: {record.collect_errors[0].message[:200]}")
        return
    told = {}
    for payload in record.extra.get("twins", []):  # type: ignore[attr-defined]
        told[payload["target"]] = {k: v for k, v in payload.items() if k != "target"}
    for target, known in told.items():
        room.shapes[target] = known["shape"]
    problem = record.problem if record.problem and record.problem != "timeout" else None
    if record.problem == "timeout":
        yield LayerFacts("twins", error="the twin session did not end in time")
        return
    yield LayerFacts(
        "twins",
        {"targets": {t: told.get(t) for t in targets}, "of": len(room.attempt.targets), "problem": problem},
    )
