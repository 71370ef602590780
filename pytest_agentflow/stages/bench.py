"""What does the harness lend an agent during one attempt, from inside a lane?"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from pytest_agentflow.adapters import sandbox
from pytest_agentflow.adapters.broker import BrokerError
from pytest_agentflow.adapters.sessions import RunSpec, run_session
from pytest_agentflow.agents.base import OverBudget
from pytest_agentflow.core import codec
from pytest_agentflow.core.model import SessionRecord, Spend

PROGRESS_EVERY = 0.25  # seconds; a faster agent's lines are dropped, the last state is never far


class Asking(Protocol):
    """A way to the controller's desk: a lane's link, or the desk itself."""

    def ask(self, verb: str, **payload: Any) -> Any: ...


class LaneBench:
    """`agents.base.Bench` over the broker's link. Screening runs take a CPU slot; verdicts are made elsewhere."""

    def __init__(
        self,
        link: Asking,
        attempt: str,
        workspace: Path,
        scratch: Path,
        spec: RunSpec,
        known: Sequence[str] = (),
    ) -> None:
        self._link = link
        self._attempt = attempt
        self._workspace = workspace
        self._scratch = scratch
        self._spec = spec
        self._known = known  # ids as they were observed
        self._runs = 0
        self._told = 0.0
        self._asked = (0.0, False)

    def run_tests(self, nodeids: Sequence[str], *, timeout: float | None = None) -> SessionRecord:
        self._runs += 1
        with slot(self._link):
            return run_session(
                self._spec,
                self._workspace,
                ids=nodeids,
                known=self._known,
                scratch=self._scratch / f"run-{self._runs}",
                timeout=timeout or 300.0,
                cancelled=self.cancelled,
            )

    def reserve(self, *, tokens: int, usd: float, seconds: float = 0.0) -> str:
        try:
            return str(self._ask("reserve", tokens=tokens, usd=usd, seconds=seconds))
        except BrokerError as error:
            if error.kind not in ("OverBudget", "OverBudgetForNow"):
                raise
            refused = OverBudget(str(error))
            refused.temporary = error.kind == "OverBudgetForNow"
            raise refused from None

    def settle(self, reservation: str, spend: Spend) -> None:
        self._ask("settle", reservation=reservation, spend=codec.encode(spend))

    def progress(self, text: str, **numbers: float) -> None:
        now = time.monotonic()
        if now - self._told >= PROGRESS_EVERY:
            self._told = now
            self._ask("progress", text=text, numbers=numbers)

    def record(self, kind: str, payload: Mapping[str, Any]) -> None:
        self._ask("record", kind=kind, data=dict(payload))

    def replay(self, request_hash: str) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = self._ask("replay", request_hash=request_hash)
        return found

    def pace(self, verb: str, ticket: str, retry_after: float | None = None) -> Mapping[str, Any]:
        """Rate limits are shared by all lanes: when may this call start, and is waiting hopeless?"""
        answer: Mapping[str, Any] = self._ask("pace", step=verb, ticket=ticket, retry_after=retry_after)
        return answer

    def cancelled(self) -> bool:
        """Asked often by searches, so the answer is remembered for a moment. No controller counts as cancelled."""
        asked, answer = self._asked
        if not answer and time.monotonic() - asked > 0.5:
            try:
                answer = bool(self._ask("cancelled"))
            except (EOFError, OSError):
                answer = True
            self._asked = (time.monotonic(), answer)
        return answer

    def sandboxed(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        network: bool = False,
        writable: Sequence[Path] = (),
        readable: Sequence[Path] = (),
        memory_mb: int | None = None,
        **popen: Any,
    ) -> subprocess.Popen[bytes]:
        """Start a program with the workspace as its directory, in the attempt's sandbox and a process group of its own."""
        box = sandbox.Box(
            kind=self._spec.sandbox,
            network=network,
            writable=(self._workspace, self._scratch, *writable),
            hidden=tuple(Path(p) for p in self._spec.hidden),
            readable=(*(Path(p) for p in self._spec.readable), *readable),
            memory_mb=memory_mb or self._spec.memory_mb,
            file_mb=self._spec.file_mb,
        )
        return sandbox.popen(
            box, argv, cwd=self._workspace, env=dict(env if env is not None else self._spec.env), **popen
        )

    def secret(self, name: str) -> str | None:
        value = self._ask("secret", name=name)
        return None if value is None else str(value)

    def _ask(self, verb: str, **payload: Any) -> Any:
        return self._link.ask(verb, attempt=self._attempt, **payload)


@contextmanager
def slot(link: Asking) -> Iterator[None]:
    """Hold one of the run's CPU slots."""
    link.ask("slot")
    try:
        yield
    finally:
        link.ask("free")
