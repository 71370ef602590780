"""Generated suites, baselines and rules, and what somebody might do to a blocked change to talk the gate into green.

Used by the test suite (a few hundred examples) and by benchmarks/gate.py (twenty thousand).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

from gate_helpers import BODIES, case
from hypothesis import strategies as st

from pytest_agentflow.adapters.junit import read_report
from pytest_agentflow.core.gate.baseline import Baseline
from pytest_agentflow.core.gate.judge import Brief, Exit, judge
from pytest_agentflow.core.gate.policy import Policy
from pytest_agentflow.core.gate.quarantine import Leave, Quarantine
from pytest_agentflow.core.gate.records import Report
from pytest_agentflow.core.gate.result import GateResult
from pytest_agentflow.stages.gate import baseline_of

TODAY = 740_000
NAMES = [f"m::t{n}" for n in range(6)] + ["m.C::p[0]", "m.C::p[1]"]
SPECS = [
    ("pass",), ("pass",), ("pass",), ("fail",), ("other",), ("error",), ("teardown",), ("crash",), ("skip",), ("xfail",),
    ("pass", "pass"), ("fail", "pass"), ("pass", "fail"), ("fail", "teardown"), ("crash", "pass"), ("skip", "pass"),
    ("flaky_child",), ("xpass_strict",),
]  # fmt: skip
SUITES = {
    "pytest": '<testsuites name="pytest tests"><testsuite name="pytest">{}</testsuite></testsuites>',
    "nextest": '<testsuites name="nextest-run"><testsuite name="s">{}</testsuite></testsuites>',
    "generic": '<testsuite name="s">{}</testsuite>',
}
Cases = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Scene:
    """One change as the gate sees it."""

    producer: str
    shards: tuple[Cases, ...]
    base: Cases | None
    policy: Policy
    leaves: tuple[tuple[str, int], ...] = ()  # test, days until it expires
    collected: frozenset[str] | None = None
    exit: int | None = None
    history: Mapping[str, tuple[bool, ...]] = field(default_factory=dict)


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=8, unique=True))
    now = {name: draw(st.sampled_from(SPECS)) for name in names}
    count = draw(st.integers(1, 3))
    shards: list[dict[str, tuple[str, ...]]] = [{} for _ in range(count)]
    for n, (name, spec) in enumerate(now.items()):
        shards[draw(st.integers(0, count - 1)) if n >= count else n][name] = spec
    base = draw(st.none() | st.dictionaries(st.sampled_from(NAMES), st.sampled_from(SPECS), min_size=1))
    if base is not None and draw(st.booleans()):
        base = {**dict.fromkeys(names, ("pass",)), **base}  # most baselines know most tests
    policy = Policy(
        threshold=Fraction(draw(st.sampled_from(["100", "99.8", "90", "75", "50", "20", "1"]))),
        new_only=draw(st.booleans()), strict_baseline=draw(st.booleans()), flaky=draw(st.sampled_from(["block", "block", "allow"])),
        max_flaky=draw(st.integers(0, 3)), flaky_passes=draw(st.integers(1, 2)), max_new_failures=draw(st.sampled_from([0, 0, 1, 3])),
        max_new_skips=draw(st.sampled_from([0, 0, 0, 2])), skips=draw(st.sampled_from(["count", "count", "ignore"])),
        accepted=frozenset(draw(st.lists(st.sampled_from(NAMES), max_size=1))),
        expected_shards=draw(st.sampled_from([None, None, len([s for s in shards if s]), 2])),
    )  # fmt: skip
    leaves = draw(st.dictionaries(st.sampled_from(NAMES), st.integers(-2, 20), max_size=2))
    collected = draw(
        st.none()
        | st.none()
        | st.frozensets(st.sampled_from(NAMES), max_size=1).map(lambda x: x | set(names))
    )
    history = {n: (draw(st.booleans()),) * draw(st.sampled_from([0, 3, 20])) for n in leaves}
    return Scene(
        draw(st.sampled_from(list(SUITES))), tuple(shards), base, policy, tuple(leaves.items()), collected,
        draw(st.sampled_from([None, None, None, 0, 1, 2])), history,
    )  # fmt: skip


def text(cases: Cases, producer: str) -> str:
    return SUITES[producer].format("".join(case(n, b) for n, specs in cases.items() for b in specs))


@lru_cache(maxsize=4096)
def _read(content: str, name: str, folder: str) -> Report:
    path = Path(folder, name)
    path.write_text(content)
    return read_report(path, source=name)


def verdict(scene: Scene, folder: Path) -> GateResult:
    """Through files, the reader and the judge: the whole way. A text that was read before is not read again."""
    reports = [
        _read(text(shard, scene.producer), f"shard-{n}.xml", str(folder))
        for n, shard in enumerate(scene.shards, 1)
    ]
    baseline: Baseline | None = None
    if scene.base is not None:
        baseline = baseline_of([_read(text(scene.base, scene.producer), "base.xml", str(folder))], None)
    leaves = {n: Leave(n, n, "o", "r", TODAY + days, "soon") for n, days in scene.leaves}
    exits = (
        [Exit(scene.exit, {0: "passed", 1: "failed"}.get(scene.exit, "broken"))]
        if scene.exit is not None
        else []
    )
    return judge(
        Brief(
            reports, scene.policy, TODAY, baseline, Quarantine(leaves), scene.collected, scene.history, exits
        )
    )


MOVES = ("remove", "skip", "xfail", "retry-pass", "retry-fail", "duplicate", "duplicate-elsewhere", "pad")


def apply(scene: Scene, move: str, name: str) -> Scene | None:
    """The scene after somebody did `move` to the test `name`; None where the gate openly does not promise to see it."""
    where = next((n for n, shard in enumerate(scene.shards) if name in shard), None)
    if move == "pad":
        fresh = {f"new::n{n}": ("pass",) for n in range(40)}
        allowed = scene.base is None or scene.policy.max_new_failures or scene.collected is not None
        return None if allowed else replace(scene, shards=({**scene.shards[0], **fresh}, *scene.shards[1:]))
    if where is None or not _promised(scene, move, name):
        return None
    specs = scene.shards[where][name]
    changed = {
        "remove": None, "skip": ("skip",), "xfail": ("xfail",), "retry-pass": (*specs, "pass"),
        "retry-fail": (*specs, "fail"), "duplicate": specs * 2, "duplicate-elsewhere": specs,
    }[move]  # fmt: skip
    shards = [dict(shard) for shard in scene.shards]
    if changed is None:
        shards = [{k: v for k, v in shard.items() if k != name} for shard in shards]
    else:
        shards[(where + 1) % len(shards) if move == "duplicate-elsewhere" else where][name] = changed
    return replace(scene, shards=tuple(shards))


def _promised(scene: Scene, move: str, name: str) -> bool:
    policy, base = scene.policy, scene.base
    state = _state(base[name]) if base is not None and name in base else None
    if move == "remove":  # visible through the baseline or the collected ids, unless accepted by name
        seen = (base is not None and name in base) or (
            scene.collected is not None and name in scene.collected
        )
        return seen and name not in policy.accepted
    if move == "skip":  # a door the user opened: skips allowed, or expected by the baseline
        return (
            policy.max_new_skips == 0 if base is not None else policy.skips == "count"
        ) and state != "skip"
    if move == "xfail":  # without a baseline an expected failure is taken at the test's word
        return base is not None and policy.max_new_skips == 0 and state not in ("skip", "xfail")
    if move == "retry-pass":  # --flaky allow is exactly the permission to retry
        return policy.flaky == "block"
    if move == "retry-fail":  # a failure may explain an exit code that nothing explained before
        return scene.exit is None
    return True


def _state(specs: tuple[str, ...]) -> str:
    if any(s not in ("pass", "skip", "xfail") for s in specs):
        return "fail"
    return "skip" if "skip" in specs else "xfail" if "xfail" in specs else "pass"


def broken_promise(scene: Scene, move: str, name: str) -> str | None:
    """None, or the story of how a move turned a block into a pass."""
    with tempfile.TemporaryDirectory() as folder:
        before = verdict(scene, Path(folder))
        if before.exit_code == 0:
            return None
        after_scene = apply(scene, move, name)
        if after_scene is None:
            return None
        after = verdict(after_scene, Path(folder))
    if after.exit_code != 0:
        return None
    return f"{move} {name}: {before.exit_code} -> 0; before: {[r.text for r in before.reasons]}; after: {after_scene}"


assert set(BODIES) >= {s for specs in SPECS for s in specs}
