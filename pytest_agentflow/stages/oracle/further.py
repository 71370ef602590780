"""What do the build, the user's commands and the plugins' oracles say of the patched tree?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pytest_agentflow.adapters import programs
from pytest_agentflow.core.attempts import first_line
from pytest_agentflow.core.evidence import LayerFacts
from pytest_agentflow.core.layers.further import NAME
from pytest_agentflow.core.model import Attempt, Finding, FindingStatus, Patch, SessionRecord
from pytest_agentflow.stages.oracle.room import Room

COMMAND_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class OracleEvidence:
    """What a plugin's oracle judges: the patch, and a cold session of the node ids that it asked for (or None)."""

    attempt: Attempt
    patch: Patch
    record: SessionRecord | None


class Oracle(Protocol):
    """Two pure halves around the harness's own running of tests."""

    name: str

    def selects(self, attempt: Attempt) -> Sequence[str]:
        """Which node ids must run on the patched tree."""

    def judge(self, evidence: OracleEvidence) -> Finding:
        """What the evidence says; status ok, failed, weak or n/a."""


def measure(room: Room) -> Iterator[LayerFacts]:
    """One fact per oracle, the build first. The first that disagrees ends it."""
    said: dict[str, Mapping[str, Any]] = {}
    for name, command in room.ctx.commands:
        said[name] = _command(room, command)
        if said[name]["status"] != FindingStatus.OK:
            break
    else:
        for oracle in room.ctx.oracles:
            said[oracle.name] = _oracle(room, oracle)
            if said[oracle.name]["status"] in (FindingStatus.FAILED, FindingStatus.ERROR):
                break
    yield LayerFacts(NAME, {"oracles": said})


def _command(room: Room, command: str) -> Mapping[str, Any]:
    with room.lease(room.patched) as (workspace, scratch, spec):
        answer = programs.ask(spec, workspace, scratch, command, COMMAND_SECONDS)
    if answer.exit_code is None:
        return _said(FindingStatus.FAILED, f"`{command}` did not end within {COMMAND_SECONDS:g} s")
    last = first_line(answer.output.strip().rpartition("\n")[2])
    words = f"exit code {answer.exit_code}" + (f": {last}" if last and not answer.agrees else "")
    return _said(FindingStatus.OK if answer.agrees else FindingStatus.FAILED, words)


def _oracle(room: Room, oracle: Oracle) -> Mapping[str, Any]:
    ids = list(oracle.selects(room.attempt))
    record = room.run(ids) if ids else None
    try:
        finding = oracle.judge(OracleEvidence(room.attempt, room.patch, record))
    except Exception as error:  # noqa: BLE001 - a plugin's mistake is that oracle's silence, never green
        return _said(FindingStatus.ERROR, f"{type(error).__name__}: {error}")
    return _said(finding.status, finding.reason)


def _said(status: FindingStatus, reason: str) -> Mapping[str, Any]:
    return {"status": str(status), "reason": reason}
