"""What an agent needs during an attempt, in one process: to run and test an agent of your own without the whole loop.

    bench = LocalBench(workspace, caps=Caps(run=Cap(usd=1.0)))
    report = MyAgent("mine", {}).attempt(brief(workspace, ["tests/test_a.py::test_b"]), bench)

The ledger and the pytest child sessions are the real ones; nothing is isolated unless a sandbox is named.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_agentflow.agents.base import Brief, OverBudget
from pytest_agentflow.core.budget import Caps, Ledger, Refusal
from pytest_agentflow.core.model import Attempt, Failure, SessionRecord, Spend
from pytest_agentflow.core.ratelimit import Gate, pace


def brief(
    workspace: Path,
    visible: Sequence[str],
    *,
    id: str = "r1-a1",  # noqa: A002 - the record's name
    config: Mapping[str, Any] | None = None,
    failures: Mapping[str, Failure] | None = None,
    scope: Sequence[str] = (),
    notes: Mapping[str, str] | None = None,
    deadline: float = 60.0,
    directory: Path | None = None,
    **attempt: Any,
) -> Brief:
    """A brief with plain defaults; further fields go to its `Attempt`."""
    fields: dict[str, Any] = {
        "round": 1, "cluster": "c1", "agent": "test", "retry": 0, "seed": 0, "base": "", "hidden_choose": (),
        "hidden_judge": (), "guards": (), "key": "key-" + id, **attempt,
    }  # fmt: skip
    if directory is None:
        directory = workspace.parent / f"{workspace.name}-{id}"
    directory.mkdir(parents=True, exist_ok=True)
    return Brief(
        attempt=Attempt(id=id, visible=tuple(visible), **fields),
        workspace=workspace,
        directory=directory,
        failures=failures or {},
        passing_seconds={},
        scope=tuple(scope),
        notes=notes or {},
        deadline=deadline,
        config=config or {},
    )


@dataclass
class LocalBench:
    """A bench for one attempt. `journal` holds what the agent recorded; give it to another bench to resume from it."""

    workspace: Path
    caps: Caps = field(default_factory=Caps)
    attempt: str = "r1-a1"
    unit: str = "c1"
    secrets: Mapping[str, str] = field(default_factory=dict)
    ledger: Ledger | None = None  # shared by several benches when given
    gate: Gate = field(default_factory=Gate)
    journal: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    sandbox: str = "none"
    lines: list[str] = field(default_factory=list)  # what progress() said
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)  # one for all benches that share a ledger

    def __post_init__(self) -> None:
        if self.ledger is None:
            self.ledger = Ledger(self.caps)
        with self.lock:
            self.ledger.begin(self.attempt, self.unit)

    @property
    def book(self) -> Ledger:
        assert self.ledger is not None
        return self.ledger

    def run_tests(self, nodeids: Sequence[str], *, timeout: float | None = None) -> SessionRecord:
        """A real, cold pytest child session on the workspace."""
        from pytest_agentflow.adapters.sessions import RunSpec, run_session

        env = {n: os.environ[n] for n in ("PATH", "LANG", "LC_ALL") if n in os.environ}
        spec = RunSpec(python=sys.executable, sandbox=self.sandbox, env=env, import_roots=(".",))
        with tempfile.TemporaryDirectory(prefix="agentflow-bench-") as scratch:
            return run_session(
                spec, self.workspace, ids=nodeids, scratch=Path(scratch), timeout=timeout or 120.0,
                extra_args=("-p", "no:cacheprovider"),
            )  # fmt: skip

    def reserve(self, *, tokens: int, usd: float, seconds: float = 0.0) -> str:
        with self.lock:
            held = self.book.reserve(self.attempt, tokens=tokens, usd=usd, seconds=seconds)
        if isinstance(held, Refusal):
            error = OverBudget(held.reason)
            error.temporary = held.temporary
            raise error
        return held.id

    def settle(self, reservation: str, spend: Spend) -> None:
        with self.lock:
            self.book.settle(reservation, spend)

    def pace(self, verb: str, ticket: str, retry_after: float | None = None) -> Mapping[str, Any]:
        """The shared gate before a provider."""
        with self.lock:
            wait = pace(self.gate, time.monotonic(), verb, ticket, retry_after, 0.5)
        return {"seconds": wait.seconds, "reason": wait.reason, "hopeless": wait.hopeless}

    def progress(self, text: str, **numbers: float) -> None:  # noqa: ARG002 - the protocol's
        self.lines.append(text)

    def record(self, kind: str, payload: Mapping[str, Any]) -> None:
        self.journal.append((kind, dict(payload)))

    def replay(self, request_hash: str) -> Mapping[str, Any] | None:
        return next((p for _, p in self.journal if p.get("request_hash") == request_hash), None)

    def recorded(self, kind: str) -> list[dict[str, Any]]:
        """The payloads of one kind, in order."""
        return [payload for k, payload in self.journal if k == kind]

    def cancelled(self) -> bool:
        return self.stop.is_set()

    def sandboxed(self, argv: Sequence[str], **popen: Any) -> Any:
        """Start a program in the workspace, in the named sandbox; "none" still ends all its descendants."""
        from pytest_agentflow.adapters import sandbox

        box = sandbox.Box(
            kind=sandbox.choose(self.sandbox),
            network=popen.pop("network", False),
            writable=(self.workspace, *popen.pop("writable", ())),
            readable=tuple(popen.pop("readable", ())),
            memory_mb=popen.pop("memory_mb", 4096),
        )
        return sandbox.popen(box, list(argv), cwd=self.workspace, **popen)

    def secret(self, name: str) -> str | None:
        return self.secrets.get(name)
