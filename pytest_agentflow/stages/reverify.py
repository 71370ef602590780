"""Do a run's recorded verdicts hold when they are judged, and executed, again without any model?"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_agentflow import hookspecs
from pytest_agentflow.adapters import sandbox, snapshot, workspaces
from pytest_agentflow.adapters.journal import read_journal
from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.adapters.workspaces import Pool
from pytest_agentflow.core import codec
from pytest_agentflow.core.events import MINIMISED, STARTED, VERIFIED, Event
from pytest_agentflow.core.model import Observation, VerdictKind
from pytest_agentflow.core.verdict import judge
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.settings import Settings
from pytest_agentflow.stages import flaky_targets, minimise
from pytest_agentflow.stages.build import without_build
from pytest_agentflow.stages.oracle.asked import further_commands, further_oracles
from pytest_agentflow.stages.recorded import UNREADABLE, attempt_in, record_in, verdict_in
from pytest_agentflow.stages.scope import policy
from pytest_agentflow.stages.verify import VerifyContext, gather


@dataclass(frozen=True, slots=True)
class Check:
    """One recorded verdict held against a second opinion."""

    attempt: str
    recorded: str
    again: str
    how: str  # "judged from the evidence" or "executed"
    reason: str = ""

    @property
    def agrees(self) -> bool:
        return self.recorded == self.again


def reverify(directory: Path, *, execute: bool, say: Callable[[str], None]) -> tuple[Check, ...]:
    """Check the chain, then every recorded verdict from its evidence, then every accepted patch by running it again.

    Raises AgentflowError when the journal was altered.
    """
    events, _ = read_journal(directory / "journal.jsonl")
    started = next((e.data for e in events if e.event == STARTED), None)
    if started is None:
        raise AgentflowError(
            f"{directory.name} has no started event.", "The run ended before it began.", exit_code=1
        )
    say(f"journal: {len(events)} events, the chain is whole")
    recorded = {_name(e): e for e in events if _is_verdict(e)}
    checks = [_judged(directory, name, event) for name, event in recorded.items() if not _never_ran(event)]
    if execute:
        accepted = {
            name: e.data["verdict"] for name, e in recorded.items() if VerdictKind(e.data["verdict"]).accepted
        }
        checks += _executed(directory, started, accepted, say)
    return tuple(checks)


def _is_verdict(event: Event) -> bool:
    return event.event == VERIFIED or (event.event == MINIMISED and bool(event.data["dropped"]))


def _name(event: Event) -> str:
    """The attempt, or the patch that was left of it: both are directories below `attempts`."""
    attempt: str = event.data["attempt"]
    return attempt if event.event == VERIFIED else f"{attempt}/{minimise.DIRECTORY}"


def _never_ran(event: Event) -> bool:
    """Lost and never-begun attempts left no evidence; nothing was accepted on their word."""
    return event.data["verdict"] in (VerdictKind.LOST, VerdictKind.OVER_BUDGET)


def _judged(directory: Path, name: str, event: Event) -> Check:
    said = event.data["verdict"]
    place = directory / "attempts" / name
    try:
        again = verdict_in(place, record_in(place))
    except UNREADABLE as error:
        return Check(name, said, "unreadable", "judged from the evidence", str(error))
    same = codec.encode(again.findings) == event.data["findings"] and again.reason == event.data["reason"]
    return Check(
        name,
        said,
        str(again.kind) if same else f"{again.kind} (other findings)",
        "judged from the evidence",
        again.reason,
    )


def _executed(
    directory: Path, started: Mapping[str, Any], accepted: Mapping[str, str], say: Callable[[str], None]
) -> Iterator[Check]:
    settings = Settings.from_json(started["settings"])
    spec = RunSpec.from_json({**started["spec"], "sandbox": sandbox.choose(settings.agent_sandbox)})
    temp = workspaces.private_root(f"verify-{directory.name}", directory)
    pool = Pool(temp)
    try:
        for name, said in accepted.items():
            say(f"executing {name} again")
            yield _execute(directory, name, said, settings, spec, pool)
    finally:
        pool.close()
        shutil.rmtree(temp, ignore_errors=True)


def _execute(directory: Path, name: str, said: str, settings: Settings, spec: RunSpec, pool: Pool) -> Check:
    attempt = attempt_in(directory / "attempts" / name.partition("/")[0])
    record = record_in(directory / "attempts" / name)
    observed = json.loads((directory / "observations" / f"{attempt.base}.json").read_text(encoding="utf-8"))
    base = snapshot.load(directory / "base.git", attempt.base)
    context = VerifyContext(
        spec=spec,
        base=base,
        baseline=codec.decode(Observation, observed).results,
        scope=policy(settings, spec, base.protected),
        pool=pool,
        scratch=pool.root / f"scratch-{name.replace('/', '-')}",
        commands=further_commands(settings),
        oracles=further_oracles(settings, hookspecs.manager(settings.agent_plugins)),
        flaky=flaky_targets.load(directory),
    )
    verdict = judge(gather(without_build(attempt), record.patch, context))
    return Check(name, said, str(verdict.kind), "executed", verdict.reason)
