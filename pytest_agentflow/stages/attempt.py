"""How does a lane make one attempt: workspace, agent, the harness's own tree diff, evidence?

A lane gathers evidence and writes it into the attempt's directory; it judges only to choose among candidates. What
counts is the controller's verdict on the same evidence.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_agentflow import hookspecs
from pytest_agentflow.adapters import patches, snapshot
from pytest_agentflow.adapters.broker import Address, Link, die_with
from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.adapters.snapshot import Snapshot
from pytest_agentflow.adapters.workspaces import Pool
from pytest_agentflow.agents import registry
from pytest_agentflow.agents.base import AgentOutcome, AgentReport, Brief
from pytest_agentflow.core import codec
from pytest_agentflow.core.attempts import AttemptRecord
from pytest_agentflow.core.evidence import Evidence
from pytest_agentflow.core.model import Attempt, Observation, Patch, Spend, Verdict, VerdictKind
from pytest_agentflow.core.review import Objection, Ruling, Standing, rule
from pytest_agentflow.core.scope import ScopePolicy
from pytest_agentflow.core.verdict import judge
from pytest_agentflow.settings import Settings
from pytest_agentflow.stages.bench import LaneBench, slot
from pytest_agentflow.stages.build import without_build
from pytest_agentflow.stages.review import ReviewContext, review, reviewers_of
from pytest_agentflow.stages.verify import VerifyContext, gather

MANIFEST = "lanes.json"  # what the lane session collects
NOTES_CAP = 16 * 1024
BUILD_NAME = "the build"
MAX_JUDGED = 5  # candidates of one attempt that are judged cold


@dataclass(frozen=True, slots=True)
class Manifest:
    """What every lane of a dispatch reads, written once before any starts."""

    run_directory: str
    temp: str
    broker: str  # file with the broker's address
    spec: Mapping[str, Any]
    settings: Mapping[str, Any]
    scope: Mapping[str, Any]
    base: str
    lanes: int
    plugins: tuple[str, ...] = ()

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(codec.encode(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Manifest:
        return codec.decode(cls, json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane's standing equipment."""

    name: str
    link: Link
    directory: Path
    spec: RunSpec
    settings: Settings
    scope: ScopePolicy
    base: Snapshot
    baseline: Observation
    pool: Pool
    scratch: Path
    plugins: Any


def serve_lane(manifest_path: Path, number: int, worker: str) -> int:
    """Pull attempts until none is left; returns how many were made."""
    manifest = Manifest.load(manifest_path)
    directory = Path(manifest.run_directory)
    address = Address.load(Path(manifest.broker))
    name = f"lane{number}"
    link = Link(address, name)
    base = snapshot.load(directory / "base.git", manifest.base)
    observed = json.loads((directory / "observations" / f"{manifest.base}.json").read_text(encoding="utf-8"))
    pool = Pool(Path(manifest.temp))
    scratch = Path(manifest.temp) / f"scratch-{name}-{os.getpid()}"
    scratch.mkdir(mode=0o700)

    def cleanup() -> None:
        shutil.rmtree(scratch, ignore_errors=True)
        pool.close()

    die_with(address, name, cleanup)
    lane = Lane(
        name=name,
        link=link,
        directory=directory,
        spec=RunSpec.from_json(manifest.spec),
        settings=Settings.from_json(manifest.settings),
        scope=codec.decode(ScopePolicy, manifest.scope),
        base=base,
        baseline=codec.decode(Observation, observed),
        pool=pool,
        scratch=scratch,
        plugins=hookspecs.manager(manifest.plugins),
    )
    made = 0
    try:
        while (claimed := link.ask("claim", worker=worker)) is not None:
            make_attempt(lane, codec.decode(Attempt, claimed))
            made += 1
    finally:
        cleanup()
    return made


def make_attempt(lane: Lane, attempt: Attempt) -> None:
    """One attempt from claim to `result.json`. Whatever goes wrong inside is this attempt's result, not the lane's end."""
    directory = lane.directory / "attempts" / attempt.id
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "attempt.json", codec.encode(attempt))
    began = time.monotonic()
    try:
        record, evidence = _attempt(lane, attempt, directory)
    except Exception as error:  # noqa: BLE001 - reported as the attempt's result, with the traceback in its log
        (directory / "error.log").write_text(traceback.format_exc(), encoding="utf-8")
        message = f"{type(error).__name__}: {error}"
        record = AttemptRecord(attempt.id, attempt.key, attempt.agent, "harness_error", message)
        evidence = None
    patches.save(record.patch, directory / "patch.diff")
    if evidence is not None:
        write_json(directory / "evidence.json", codec.encode(evidence))
    elapsed = Spend(seconds=time.monotonic() - began - record.spend.seconds)
    write_json(
        directory / "result.json", {**codec.encode(record), "spend": codec.encode(record.spend + elapsed)}
    )
    lane.link.ask("done", attempt=attempt.id)


def _attempt(lane: Lane, attempt: Attempt, directory: Path) -> tuple[AttemptRecord, Evidence | None]:
    config = agent_config(lane.settings, attempt.agent, lane.plugins)
    agent = registry.resolve(attempt.agent, config)
    scratch = lane.scratch / attempt.id
    scratch.mkdir(exist_ok=True)
    try:
        with lane.pool.lease(lane.base, attempt.id) as workspace:
            bench = LaneBench(lane.link, attempt.id, workspace, scratch, lane.spec)
            brief = _brief(lane, attempt, workspace, directory, scratch, config)
            report = agent.attempt(brief, bench)
            offered = _patches(lane, report, workspace)
        # Without a patch the harness still asks whether passing tests forbid what the targets demand.
        chosen, evidence, judged = _judge_candidates(lane, attempt, offered or [Patch("", ())], scratch)
        if not offered and evidence is not None and judge(evidence).kind is not VerdictKind.CONTRADICTION:
            evidence, judged = None, 0
        ruling = None
        if evidence is not None and judge(evidence).kind.accepted:
            ruling = _review(lane, brief, chosen, agent.paid, config)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    record = AttemptRecord(
        attempt=attempt.id,
        key=attempt.key,
        agent=attempt.agent,
        outcome=str(report.outcome),
        message=report.message,
        evidence_text=report.evidence,
        patch=chosen,
        judged=evidence is not None,
        candidates=judged,
        spend=report.spend,
        notes=report.notes,
        fingerprint=agent.fingerprint(config),
        ruling=ruling,
    )
    return record, evidence


def _review(lane: Lane, brief: Brief, patch: Patch, paid: bool, config: Mapping[str, Any]) -> Ruling | None:
    """Let adversarial reviewers try to refute an accepted patch, beside the other lanes' attempts."""
    count = lane.settings.agent_reviewers
    count = (2 if paid else 0) if count is None else count
    if not count:
        return None
    earlier, sent_back = _earlier_objections(lane, brief.attempt)
    section = lane.settings.sections.get("agents", {}).get("reviewer", {})
    context = ReviewContext(
        spec=lane.spec,
        base=lane.base,
        pool=lane.pool,
        scratch=lane.scratch / f"{brief.attempt.id}-review",
        directory=brief.directory,
        bench=lambda workspace, name: LaneBench(
            lane.link, brief.attempt.id, workspace, lane.scratch / f"{brief.attempt.id}-{name}", lane.spec
        ),
        reviewers=reviewers_of(count, config, section),
    )
    return rule(review(brief, patch, earlier, context), times_sent_back=sent_back)


def _earlier_objections(lane: Lane, attempt: Attempt) -> tuple[tuple[Objection, ...], int]:
    """Counterexamples that refuted earlier patches of this unit: the next patch must stand against them first."""
    found: list[Objection] = []
    times = 0
    for told in attempt.history:
        path = lane.directory / "attempts" / told.partition(" ")[0] / "result.json"
        if path.is_file():
            ruling = codec.decode(AttemptRecord, json.loads(path.read_text(encoding="utf-8"))).ruling
            if ruling is not None and ruling.standing is Standing.SENT_BACK:
                times += 1
                found += [ran.objection for ran in ruling.counterexamples]
    return tuple(found), times


def agent_config(settings: Settings, name: str, plugins: Any = None) -> dict[str, Any]:
    """The agent's own section, plus the general options that concern models, and the agent that a plugin gives for the name."""
    section = dict(settings.sections.get("agents", {}).get(name, {}))
    for option, key in (("agent_model", "model"), ("agent_effort", "effort")):
        if settings.get(option) is not None:
            section[key] = settings[option]
    given = plugins.hook.pytest_agentflow_agent(name=name, settings=settings) if plugins else None
    if given is not None:
        section["instance"] = given
    section.setdefault("prices", settings.sections.get("prices", {}))
    return section


def _brief(
    lane: Lane, attempt: Attempt, workspace: Path, directory: Path, scratch: Path, config: dict[str, Any]
) -> Brief:
    results = lane.baseline.results
    shown = {*attempt.visible, *attempt.guards} - {*attempt.hidden_choose, *attempt.hidden_judge}
    failures = {i: f for i in attempt.visible if i in results and (f := results[i].failure) is not None}
    return Brief(
        attempt=hide(attempt),
        workspace=workspace,
        directory=directory,
        failures=failures,
        passing_seconds={i: results[i].duration for i in shown if i in results},
        scope=lane.scope.globs,
        notes=_context_notes(workspace, lane.settings.agent_context),
        deadline=attempt.timeout,
        config={**config, "run_spec": lane.spec, "scratch": scratch},
    )


def hide(attempt: Attempt) -> Attempt:
    """The attempt as its agent may know it: held-out tests are neither named nor countable among the guards."""
    from dataclasses import replace

    hidden = {*attempt.hidden_choose, *attempt.hidden_judge}
    return replace(
        attempt, hidden_choose=(), hidden_judge=(), guards=tuple(g for g in attempt.guards if g not in hidden)
    )


def _context_notes(workspace: Path, paths: Sequence[str]) -> dict[str, str]:
    """AGENTS.md and the like as untrusted data, capped; what was cut says so."""
    notes: dict[str, str] = {}
    left = NOTES_CAP
    root = workspace.resolve()
    for name in paths:
        place = workspace / name
        files = sorted(place.glob("*.md")) if place.is_dir() else [place]
        for file in files:
            if not file.is_file() or not file.resolve().is_relative_to(root) or left <= 0:
                continue
            text = file.read_text(encoding="utf-8", errors="replace")
            cut = text[:left]
            left -= len(cut)
            notes[str(file.relative_to(workspace))] = (
                cut if len(cut) == len(text) else cut + "\n[cut here: over the cap]"
            )
    return notes


def _patches(lane: Lane, report: AgentReport, workspace: Path) -> list[Patch]:
    """The candidate patches: the agent's list as whole files, or the harness's own diff of the tree."""
    if report.candidates:
        made = (
            snapshot.with_files(lane.base, candidate.files) for candidate in report.candidates[:MAX_JUDGED]
        )
        return [p for tree in made if (p := snapshot.between(lane.base, tree))]
    if report.outcome is AgentOutcome.GAVE_UP:
        return []  # what it leaves behind is no offer
    patch = snapshot.diff(lane.base, workspace)
    return [patch] if patch else []


def _judge_candidates(
    lane: Lane, attempt: Attempt, offered: Sequence[Patch], scratch: Path
) -> tuple[Patch, Evidence | None, int]:
    """Judge best first and keep the first plausible one; a weak one is kept while a plausible one may follow."""
    kept: tuple[Patch, Evidence, Verdict] | None = None
    judged = 0
    for n, patch in enumerate(offered):
        context = VerifyContext(
            spec=lane.spec,
            base=lane.base,
            baseline=lane.baseline.results,
            scope=lane.scope,
            pool=lane.pool,
            scratch=scratch / f"verify-{n}",
            commands=further_commands(lane.settings),
            oracles=further_oracles(lane.settings, lane.plugins),
        )
        with slot(lane.link):
            evidence = gather(without_build(attempt), patch, context)
        judged += 1
        verdict = judge(evidence)
        if kept is None or _better(verdict, kept[2]):
            kept = (patch, evidence, verdict)
        if verdict.kind is VerdictKind.PLAUSIBLE:
            break
    if kept is None:
        return Patch("", ()), None, judged
    return kept[0], kept[1], judged


def further_commands(settings: Settings) -> tuple[tuple[str, str], ...]:
    """The build, then the commands among `--agent-oracle`."""
    build = ((BUILD_NAME, settings.agent_build),) if settings.agent_build else ()
    return (*build, *((name, name) for name in settings.agent_oracle if not _is_callable(name)))


def further_oracles(settings: Settings, plugins: Any) -> tuple[Any, ...]:
    """Oracles of plugins, and those named as `module:callable`."""
    given = [found for found in plugins.hook.pytest_agentflow_oracles(settings=settings) if found is not None]
    flat = [o for found in given for o in (found if isinstance(found, list | tuple) else [found])]
    named = [registry.load(name, name)() for name in settings.agent_oracle if _is_callable(name)]
    return (*flat, *named)


def _is_callable(name: str) -> bool:
    module, colon, attribute = name.partition(":")
    return bool(colon) and module.replace(".", "").isidentifier() and attribute.isidentifier()


def _better(new: Verdict, old: Verdict) -> bool:
    return new.kind.accepted and not (old.kind.accepted and old.kind is not VerdictKind.WEAK)


def write_json(path: Path, value: object) -> None:
    """Write through a temporary name: a reader sees the whole file or none."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, default=str), encoding="utf-8")
    temporary.replace(path)
