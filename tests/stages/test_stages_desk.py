"""Lanes that ask at once, over real sockets: never more in flight than lanes, never one attempt above the cap."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

from pytest_agentflow.adapters.broker import Broker, Link
from pytest_agentflow.adapters.journal import Journal
from pytest_agentflow.adapters.ledger import open_ledger
from pytest_agentflow.core import codec
from pytest_agentflow.core.model import Attempt, AttemptResult, Patch, Verdict, VerdictKind
from pytest_agentflow.core.plan import Bounds
from pytest_agentflow.settings import resolve
from pytest_agentflow.stages.desk import Desk
from pytest_agentflow.stages.run import Run

LANES, UNITS, CAP = 16, 110, 100
NOTHING = cast("Any", None)  # parts of a run that a desk never touches


def run_in(directory: Path) -> Run:
    return Run(
        id="many", directory=directory, temp=directory, pool=NOTHING, settings=resolve({"agent_max_attempts": str(CAP)}, {}, {}),
        bounds=Bounds(agents=("idle",), retries=1), repository=NOTHING, base=NOTHING, spec=NOTHING, selection=NOTHING,
        journal=Journal(directory / "journal.jsonl"), plugins=NOTHING, progress=lambda *_: None,
    )  # fmt: skip


def unfixed(_: Run, attempt: Attempt) -> AttemptResult:
    return AttemptResult(attempt.id, Verdict(VerdictKind.UNFIXED, "still red"), Patch("", ()), "idle")


def attempts() -> list[Attempt]:
    return [
        Attempt(f"r1-a{n}", 1, f"c{n}", "idle", 0, 0, "base", (f"t.py::t{n}",), (), (), (), key=f"k{n}")
        for n in range(1, UNITS + 1)
    ]


def test_sixteen_lanes_never_hold_a_seventeenth_attempt_nor_begin_one_above_the_cap(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    desk = Desk(run, open_ledger(run.journal, run.settings), unfixed, slots=2)
    desk.add(attempts())
    broker = Broker(tmp_path, desk.handle, desk.lost)
    most: list[int] = []

    def lane(number: int) -> None:
        link = Link(broker.address, f"lane{number}")
        while (claimed := link.ask("claim", worker=f"gw{number}")) is not None:
            most.append(len(desk.in_flight))
            link.ask("done", attempt=codec.decode(Attempt, claimed).id)

    threads = [threading.Thread(target=lane, args=(n,)) for n in range(LANES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    broker.close()
    run.journal.close()
    begun = [e.data["attempt"] for e in run.journal.events if e.event == "dispatched"]
    assert len(begun) == len(set(begun)) == CAP
    assert max(most) <= LANES and len(desk.results) == CAP + 1, (
        "the one that broke the cap is said, the rest wait"
    )
    assert "attempts" in (desk.stopping or "")
