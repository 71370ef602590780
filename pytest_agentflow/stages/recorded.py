"""What does a directory of an attempt hold, and which verdict follows from it?

Everybody who asks (the controller, a resumed run, `agentflow verify`) judges from the same files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_agentflow.core import codec
from pytest_agentflow.core.attempts import AttemptRecord, with_ruling, without_patch
from pytest_agentflow.core.evidence import Evidence
from pytest_agentflow.core.model import Attempt, Verdict
from pytest_agentflow.core.verdict import judge

UNREADABLE = (OSError, ValueError, TypeError)  # what these functions raise for a file that is gone or damaged


def attempt_in(place: Path) -> Attempt:
    """What was to be done."""
    return codec.decode(Attempt, _json(place / "attempt.json"))


def record_in(place: Path) -> AttemptRecord:
    """What a lane, or a minimisation, left behind."""
    return codec.decode(AttemptRecord, _json(place / "result.json"))


def verdict_in(place: Path, record: AttemptRecord) -> Verdict:
    """The verdict, judged again from the evidence beside the record."""
    if not record.judged:
        return without_patch(record)
    evidence = codec.decode(Evidence, _json(place / "evidence.json"))
    return with_ruling(judge(evidence), record.ruling)


def behaviour_in(place: Path, record: AttemptRecord) -> dict[str, str]:
    """What the judged tests did under the patch; empty when nothing was measured."""
    if not record.judged:
        return {}
    return codec.decode(Evidence, _json(place / "evidence.json")).behaviour()


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
