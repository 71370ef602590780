"""Generated suites, baselines and rules, and what somebody might do to a blocked change to talk the gate into green.

`verdict` judges a scene from records, thousands of times a second; `through_files` takes the whole way over XML, and must say
the same. Used by the test suite (a few hundred examples) and by benchmarks/gate.py (twenty thousand).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from pathlib import Path

from gate_helpers import BODIES, case
from hypothesis import strategies as st

from pytest_agentflow.adapters.junit import read_report
from pytest_agentflow.core.gate.baseline import Baseline, Entry, entry
from pytest_agentflow.core.gate.judge import Brief, Exit, judge
from pytest_agentflow.core.gate.labels import labels
from pytest_agentflow.core.gate.policy import Policy
from pytest_agentflow.core.gate.quarantine import Leave, Quarantine
from pytest_agentflow.core.gate.records import Case, Problem, ProblemKind, Report
from pytest_agentflow.core.gate.result import GateResult
from pytest_agentflow.core.gate.standing import settle

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
    bodies: Mapping[str, str] = field(default_factory=dict)  # hashes of the tests' source now
    base_bodies: Mapping[str, str] = field(default_factory=dict)
    retries: Cases = field(default_factory=dict)  # the second attempt at the first shard


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
    hashes = st.dictionaries(st.sampled_from(NAMES), st.sampled_from("hk"), max_size=4)
    bodies, base_bodies = ({}, {}) if draw(st.booleans()) else (draw(hashes), draw(hashes))
    return Scene(
        draw(st.sampled_from(list(SUITES))), tuple(shards), base, policy, tuple(leaves.items()), collected,
        draw(st.sampled_from([None, None, None, 0, 1, 2])), history, bodies, base_bodies,
    )  # fmt: skip


def text(cases: Cases, producer: str) -> str:
    return SUITES[producer].format("".join(case(n, b) for n, specs in cases.items() for b in specs))


@cache
def _template(specs: tuple[str, ...], producer: str) -> tuple[Case, str]:
    """What the reader makes of one test with these results, and whom it takes for the producer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "one.xml")
        path.write_text(text({NAMES[0]: specs}, producer))
        report = read_report(path)
    return report.cases[0], report.producer


def _record(cases: Cases, producer: str, name: str) -> Report:
    """The report that `text` would be read as."""
    found = tuple(replace(_template(specs, producer)[0], identity=n) for n, specs in cases.items())
    problems = () if found else (Problem(ProblemKind.NO_TESTS, f"{name}: the report holds no tests"),)
    digest = repr((producer, list(cases.items())))
    return labels(Report(name, found, problems, _template(("pass",), producer)[1], digest=digest))


def _files(scene: Scene) -> dict[str, Cases]:
    files = {f"shard-{n}.xml": shard for n, shard in enumerate(scene.shards, 1)}
    return files | ({"shard-1-attempt-2.xml": scene.retries} if scene.retries else {})


def verdict(scene: Scene) -> GateResult:
    """From records alone."""
    reports = [_record(cases, scene.producer, name) for name, cases in _files(scene).items()]
    base = [] if scene.base is None else [_record(scene.base, scene.producer, "base.xml")]
    return _judged(scene, reports, base)


def through_files(scene: Scene, folder: Path) -> GateResult:
    """Through XML files and the reader."""

    def read(cases: Cases, name: str) -> Report:
        (folder / name).write_text(text(cases, scene.producer))
        return read_report(folder / name, source=name)

    reports = [read(cases, name) for name, cases in _files(scene).items()]
    return _judged(scene, reports, [] if scene.base is None else [read(scene.base, "base.xml")])


def _judged(scene: Scene, reports: Sequence[Report], base: Sequence[Report]) -> GateResult:
    entries: Mapping[str, Entry] = {
        n: entry(s, scene.base_bodies.get(n, "")) for n, s in settle(base).items()
    }
    leaves = {n: Leave(n, n, "o", "r", TODAY + days, "soon") for n, days in scene.leaves}
    meaning = {0: "passed", 1: "failed"}
    exits = [] if scene.exit is None else [Exit(scene.exit, meaning.get(scene.exit, "broken"))]
    return judge(
        Brief(
            reports, scene.policy, TODAY, Baseline({"": entries}) if scene.base is not None else None, Quarantine(leaves),
            scene.collected, scene.history, exits, bodies=scene.bodies,
        )
    )  # fmt: skip


MOVES = (
    "remove", "skip", "xfail", "retry-pass", "retry-fail", "retry-report", "duplicate", "duplicate-elsewhere", "rename", "pad",
)  # fmt: skip


def apply(scene: Scene, move: str, name: str) -> Scene | None:
    """The scene after somebody did `move` to the test `name`; None where the gate openly does not promise to see it."""
    where = next((n for n, shard in enumerate(scene.shards) if name in shard), None)
    if move == "pad":
        fresh = {f"new::n{n}": ("pass",) for n in range(40)}
        nothing = not any(
            cell.expected for cell in verdict(scene).cells
        )  # any test is better than none that counts
        allowed = scene.base is None or scene.policy.max_new_failures or scene.collected is not None
        return (
            None
            if allowed or nothing
            else replace(scene, shards=({**scene.shards[0], **fresh}, *scene.shards[1:]))
        )
    if where is None or not _promised(scene, move, name):
        return None
    if move == "retry-report":
        return replace(scene, retries={name: ("pass",)})
    specs = scene.shards[where][name]
    changed = {
        "remove": None, "rename": None, "skip": ("skip",), "xfail": ("xfail",), "retry-pass": (*specs, "pass"),
        "retry-fail": (*specs, "fail"), "duplicate": specs * 2, "duplicate-elsewhere": specs,
    }[move]  # fmt: skip
    shards = [dict(shard) for shard in scene.shards]
    if changed is None:
        shards = [{k: v for k, v in shard.items() if k != name} for shard in shards]
        shards[where] |= {"renamed::t": ("pass",)} if move == "rename" else {}
    else:
        shards[(where + 1) % len(shards) if move == "duplicate-elsewhere" else where][name] = changed
    return replace(scene, shards=tuple(shards))


def _promised(scene: Scene, move: str, name: str) -> bool:
    """False where a door stands open that docs/explanation/the-gate-is-monotone.md names."""
    policy = scene.policy
    base = scene.base.get(name) if scene.base is not None else None
    state = _state(base) if base is not None else None
    if move in (
        "remove",
        "rename",
    ):  # visible through the baseline or the collected ids, unless accepted by name
        seen = base is not None or (scene.collected is not None and name in scene.collected)
        return seen and name not in policy.accepted and not _twin(scene, name)
    if move == "skip":  # skips allowed, or expected by the baseline
        return (
            policy.max_new_skips == 0 if scene.base is not None else policy.skips == "count"
        ) and state != "skip"
    if move == "xfail":  # without a baseline an expected failure is taken at the test's word
        return scene.base is not None and policy.max_new_skips == 0 and state not in ("skip", "xfail")
    if move in ("retry-pass", "retry-report") and policy.flaky == "allow":  # exactly the permission to retry
        return False
    if move == "retry-fail":  # a failure may explain an exit code; a known failure may fail again
        return (
            scene.exit is None
            and not (policy.strict_baseline and state == "fail")
            and not _fewer(scene, name)
        )
    return move == "duplicate-elsewhere" or not _fewer(scene, name)


def _fewer(scene: Scene, name: str) -> bool:
    """Where a producer gives several tests one name, only their number can be held against the baseline's."""
    now = next(len(shard[name]) for shard in scene.shards if name in shard)
    return scene.producer == "generic" and scene.base is not None and len(scene.base.get(name, ())) > now


def _twin(scene: Scene, name: str) -> bool:
    """A new test with the same body: the old one is reported as moved."""
    body = scene.base_bodies.get(name)
    return body is not None and any(
        n not in (scene.base or {}) and scene.bodies.get(n) == body for shard in scene.shards for n in shard
    )


def _state(specs: tuple[str, ...]) -> str:
    if any(s not in ("pass", "skip", "xfail") for s in specs):
        return "fail"
    return "skip" if "skip" in specs else "xfail" if "xfail" in specs else "pass"


def tampered(scene: Scene) -> Iterator[tuple[str, str]]:
    """Every promised move on every test of a blocked scene: how it turned the block into a pass (or ""), and the move."""
    before = verdict(scene)
    if before.exit_code == 0:
        return
    for move in MOVES:
        for name in NAMES if move != "pad" else NAMES[:1]:
            after = apply(scene, move, name)
            if after is not None:
                green = verdict(after).exit_code == 0
                reasons = [r.text for r in before.reasons]
                yield (
                    f"{move} {name}: {before.exit_code} -> 0; before: {reasons}; {scene}" if green else "",
                    move,
                )


assert set(BODIES) >= {s for specs in SPECS for s in specs}
