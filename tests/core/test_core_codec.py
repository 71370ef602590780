"""Records as JSON and back."""

from __future__ import annotations

import json

from pytest_agentflow.core.codec import decode, encode
from pytest_agentflow.core.model import (
    Attempt,
    AttemptResult,
    Failure,
    Finding,
    FindingStatus,
    Frame,
    LineScore,
    Observation,
    Outcome,
    Patch,
    SourceUnit,
    Spend,
    Suspect,
    TestResult,
    Verdict,
    VerdictKind,
)  # fmt: skip


def roundtrip(record: object) -> object:
    return decode(type(record), json.loads(json.dumps(encode(record))))


def test_every_record_of_the_loop_survives_json() -> None:
    failure = Failure("call", "AssertionError", "1 == 2", (Frame("a.py", 3, "f"),), "text")
    result = TestResult("t", Outcome.FAILED, 0.5, (("setup", "passed"), ("call", "failed")), failure)
    suspect = Suspect(SourceUnit("a.py", "C.f", 1, 9), 0.5, (3, 4), "why")
    records = [
        Observation(
            "tree", ("t",), ("t", "u"), {"t": result, "u": TestResult("u", Outcome.PASSED)}, 1.5, "map"
        ),
        Attempt(
            "r1-a1",
            1,
            "c1",
            "search",
            0,
            0,
            "tree",
            ("t",),
            ("u",),
            (),
            ("g",),
            (suspect,),
            (LineScore("a.py", 3, 1.0),),
            ("h",),
        ),
        AttemptResult(
            "r1-a1",
            Verdict(VerdictKind.WEAK, "r", (Finding("scope", FindingStatus.OK, "fine", {"n": 1}),)),
            Patch("x", ("a.py",)),
            "s",
            Spend(usd=0.5),
        ),
    ]
    for record in records:
        assert roundtrip(record) == record
