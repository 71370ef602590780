"""dispatch: run the planned attempts on lanes, in parallel, until each has a judged result. The only module that knows xdist."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_agentflow.adapters.broker import Broker
from pytest_agentflow.agents import registry
from pytest_agentflow.core import codec
from pytest_agentflow.core.budget import Ledger
from pytest_agentflow.core.model import Attempt, AttemptResult, Patch, Verdict, VerdictKind
from pytest_agentflow.core.scope import ScopePolicy
from pytest_agentflow.stages.brief import agent_config
from pytest_agentflow.stages.desk import Desk
from pytest_agentflow.stages.lane import MANIFEST, Manifest
from pytest_agentflow.stages.probe import before_fan_out
from pytest_agentflow.stages.recorded import UNREADABLE, behaviour_in, record_in, verdict_in
from pytest_agentflow.stages.run import Run

MAX_WAVES = (
    5  # sessions of lanes; a further one starts only when every lane of the last one died with work left
)
GRACE = 5.0  # seconds between asking lanes to end and ending them


@dataclass(frozen=True, slots=True)
class Dispatched:
    """Every attempt that was made, follow-ups included, with its judged result in the order of their ids."""

    attempts: Mapping[str, Attempt]
    results: tuple[AttemptResult, ...]
    stopped: str | None  # the bound that kept attempts from being handed out


def dispatch(run: Run, attempts: Sequence[Attempt], ledger: Ledger, scope: ScopePolicy) -> Dispatched:
    """Hand the attempts to lanes and judge what comes back, until nothing is left to do or a bound is hit."""
    desk = Desk(run, ledger, judge_directory, slots=os.cpu_count() or 1, paid=_paid(run))
    desk.add(attempts)
    stopped = None
    if not desk.idle():
        before_fan_out(run, desk)
        broker = Broker(run.temp, desk.handle, desk.lost)
        try:
            for _ in range(MAX_WAVES):
                _wave(run, desk, broker, scope, attempts[0].base)
                desk.reconcile()
                if desk.idle():
                    break
        finally:
            stopped = desk.stopping
            desk.stop("dispatch ended")
            broker.close()
    results = tuple(desk.results[i] for i in sorted(desk.results, key=_order))
    return Dispatched(dict(desk.attempts), results, stopped)


def _paid(run: Run) -> frozenset[str]:
    """Which agents of the cascade cost money."""
    agents = {
        name: registry.resolve(name, agent_config(run.settings, name, run.plugins))
        for name in run.bounds.agents
    }
    return frozenset(name for name, agent in agents.items() if agent.paid)


def _order(attempt_id: str) -> tuple[int, ...]:
    return tuple(int(part.lstrip("ra")) for part in attempt_id.split("-"))


def judge_directory(run: Run, attempt: Attempt) -> AttemptResult:
    """The controller's verdict on what a lane left behind; no `result.json` of this key means lost."""
    directory = run.attempt_directory(attempt.id)
    try:
        record = record_in(directory)
    except UNREADABLE:
        record = None
    if record is None or record.key != attempt.key:
        verdict = Verdict(VerdictKind.LOST, "the lane ended without a result")
        return AttemptResult(attempt.id, verdict, Patch("", ()), attempt.agent)
    try:
        verdict, behaviour = verdict_in(directory, record), behaviour_in(directory, record)
    except UNREADABLE as error:
        verdict, behaviour = Verdict(VerdictKind.ERRORED, f"the evidence cannot be read: {error}"), {}
    return AttemptResult(
        attempt.id,
        verdict,
        record.patch,
        record.agent,
        record.spend,
        record.message,
        record.candidates,
        record.notes,
        behaviour,
    )


def _wave(run: Run, desk: Desk, broker: Broker, scope: ScopePolicy, base: str) -> None:
    """One session of lanes. Ends them when the run is stopped; a lane that hangs past its grace is killed."""
    place = Path(
        tempfile.mkdtemp(prefix="lanes-", dir=run.temp)
    )  # another round may start from the same tree
    address = place / "broker.json"
    broker.address.save(address)
    (place / "pytest.ini").write_text("[pytest]\n")
    waiting = len(desk.pending)
    lanes = max(1, min(run.lanes, waiting))
    Manifest(
        run_directory=str(run.directory),
        temp=str(run.temp),
        broker=str(address),
        spec=run.spec.to_json(),
        settings=run.settings.to_json(),
        scope=codec.encode(scope),
        base=base,
        lanes=lanes,
        plugins=run.settings.agent_plugins,
    ).save(place / MANIFEST)
    with (run.directory / "lanes.log").open("ab") as log:
        process = subprocess.Popen(
            _command(place, lanes), cwd=place, env=_environment(run), stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            _attend(run, desk, process)
        except BaseException:
            desk.abandon()
            raise
        finally:
            _end(process)


def _command(place: Path, lanes: int) -> list[str]:
    own = str(Path(__file__).resolve().parents[2])
    paths = [own, *(p for p in sys.path if p.endswith(("site-packages", "dist-packages")))]
    start = f"import sys; sys.path[:0] = {paths!r}; import pytest; sys.exit(pytest.console_main())"
    spread = ["-p", "xdist.plugin", "-n", str(lanes), "--max-worker-restart=0"] if lanes > 1 else []
    options = [
        "-p",
        "pytest_agentflow.lanes",
        "-p",
        "no:cacheprovider",
        "-c",
        "pytest.ini",
        "--rootdir",
        str(place),
    ]
    return [sys.executable, "-I", "-c", start, *options, *spread, "-q", str(place / MANIFEST)]


def _environment(run: Run) -> dict[str, str]:
    """Lanes start agents but never project code; they need no more of the environment than programs on the PATH."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")}
    return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "AGENTFLOW_RUN": run.id}


def _attend(run: Run, desk: Desk, process: subprocess.Popen[bytes]) -> None:
    stop_by: float | None = None
    while process.poll() is None:
        time.sleep(0.05)
        if run.out_of_time():
            desk.stop("deadline reached")
        if desk.stopping is not None and stop_by is None:
            stop_by = time.monotonic() + GRACE
        if stop_by is not None and time.monotonic() > stop_by:
            return


def _end(process: subprocess.Popen[bytes]) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            try:
                os.killpg(process.pid, how)
                process.wait(GRACE)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
