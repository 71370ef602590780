"""How does the harness run tests thousands of times at the price of a fork, each time from the same clean start?"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

from pytest_agentflow.adapters import sandbox
from pytest_agentflow.adapters.fork_results import Fold
from pytest_agentflow.adapters.sessions import RunSpec, child_environment, session_argv
from pytest_agentflow.adapters.treeguard import TreeGuard
from pytest_agentflow.child.forkserver import VARIABLE
from pytest_agentflow.child.load import start_load, stop_load
from pytest_agentflow.core.conditions import Conditions
from pytest_agentflow.core.executions import Execution, Job
from pytest_agentflow.core.model import SessionRecord
from pytest_agentflow.errors import AgentflowError

START_TIMEOUT = 120.0
# Order and seeds are ours to choose; a usage error (an option of a plugin we switched off) takes the next variant.
QUIET = ("-q", "--tb=native", "--maxfail=0", "-p", "no:cacheprovider")
VARIANTS = (
    ("-p", "no:xdist", "-p", "no:randomly", "-p", "no:random_order"),
    ("-n0", "-p", "no:randomly", "-p", "no:random_order"),
    ("-n0",),
    (),
)


@dataclass(slots=True)
class _Process:
    """One collected session and the socket to it."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    log: Path
    rest: bytes = b""

    def lines(self, timeout: float) -> Iterator[dict[str, Any]]:
        """What arrives within `timeout`; raises EOFError when the session is gone."""
        self.channel.settimeout(timeout)
        try:
            data = self.channel.recv(1 << 16)
        except TimeoutError:
            return
        except OSError:
            data = b""
        if not data:
            raise EOFError
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            yield json.loads(line)

    def close(self) -> None:
        self.channel.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1.0)
        sandbox.kill(self.process)

    def tail(self) -> str:
        text = self.log.read_text("utf-8", "replace") if self.log.exists() else ""
        return text[-1500:]


class ForkServer:
    """A session that collected once. `execute` runs jobs; every job starts from the same memory and the same files."""

    def __init__(
        self, spec: RunSpec, tree: Path, scratch: Path, paths: Sequence[str], hash_seed: int
    ) -> None:
        self.spec, self.tree, self.scratch = spec, tree, scratch
        self.paths, self.hash_seed = tuple(paths), hash_seed
        self.collected: tuple[str, ...] = ()
        self.collect_errors: tuple[str, ...] = ()
        self.forks = True
        self.why_not = ""  # why every execution is a process of its own
        self.collect_cpu = 0.0
        self._index: dict[str, int] = {}
        self._numbers = count()
        self._variant = 1 if "xdist" in spec.plugins else 0  # a session steadied with -n0 needs the plugin
        self._session: _Process | None = None
        self._tmp: Path | None = (
            None  # TMPDIR of the jobs that run at once, and of the next ones after kept files
        )
        self._outside: set[str] = set()  # paths outside the tree made since the last cleaning
        self._remove: set[str] = set()  # those that go before the next job begins
        self._guard = TreeGuard(tree, scratch / "home")

    @classmethod
    def start(
        cls, spec: RunSpec, tree: Path, scratch: Path, *, paths: Sequence[str] = (), hash_seed: int = 0
    ) -> ForkServer:
        """Collect `paths` (default: what the spec's arguments select) and be ready to run."""
        server = cls(spec, Path(os.path.realpath(tree)), Path(os.path.realpath(scratch)), paths, hash_seed)
        server._session, hello = server._launch(fork=True)
        server.collected = tuple(hello["ids"])
        server.collect_errors = tuple(hello["errors"])
        server.collect_cpu = float(hello["cpu"])
        server._index = {nodeid: n for n, nodeid in enumerate(server.collected)}
        if not hello["fork"]:
            server.forks, server.why_not = False, "this platform cannot fork"
        elif hello["threads"] > 0:
            server.forks = False
            n = hello["threads"]
            server.why_not = f"{n} thread{'s' * (n > 1)} started during collection"
        if not server.forks:
            server._session.close()
            server._session = None
        return server

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    # starting ------------------------------------------------------------------------------------

    def _launch(self, fork: bool) -> tuple[_Process, dict[str, Any]]:
        for variant in range(self._variant, len(VARIANTS)):
            self._variant = variant
            session = self._popen(fork, VARIANTS[variant])
            limit = time.monotonic() + START_TIMEOUT
            try:
                while time.monotonic() < limit:
                    for hello in session.lines(1.0):
                        return session, hello
            except EOFError:
                session.process.wait()
            tail, code = session.tail(), session.process.returncode
            session.close()
            if code != 4:
                break
        raise AgentflowError(
            f"the tests could not be collected for triage (pytest exit code {code}): {tail.strip()[-600:]}",
            "run the same selection with `pytest --collect-only` and repair what it shows",
            exit_code=5 if code == 5 else 4,
        )

    def _popen(self, fork: bool, extra: Sequence[str]) -> _Process:
        ours, theirs = socket.socketpair()
        env = child_environment(self.spec, self.tree, self.scratch, self.hash_seed, {})
        env[VARIABLE] = str(theirs.fileno())
        log = self.scratch / f"forkserver-{self.hash_seed}.log"
        argv = session_argv(self.spec, self.tree, self.scratch, None, self.paths, (*QUIET, *extra))
        argv[argv.index("-p") : argv.index("-p")] = ["-p", "pytest_agentflow.child.forkserver"]
        box = sandbox.Box(
            kind=self.spec.sandbox,
            network=self.spec.network,
            writable=(self.tree, self.scratch),
            hidden=tuple(Path(p) for p in self.spec.hidden),
            readable=tuple(Path(p) for p in self.spec.readable),
            memory_mb=self.spec.memory_mb,
            file_mb=self.spec.file_mb,
        )
        with log.open("wb") as output:
            process = sandbox.popen(
                box,
                argv,
                cwd=self.tree,
                env=env,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        theirs.close()
        hello = {"top": str(self.tree), "rootdir": self.spec.rootdir, "fork": fork}
        ours.sendall(json.dumps(hello).encode())
        return _Process(process, ours, log)

    # running -------------------------------------------------------------------------------------

    def run(
        self, ids: Sequence[str], *, conditions: Conditions | None = None, timeout: float = 300.0
    ) -> SessionRecord:
        """One execution of `ids` in this order, as the record of a session."""
        job = Job(tuple(ids), conditions or Conditions(), timeout=timeout)
        execution = self.execute([job])[0]
        results = {step.nodeid: step.result for step in execution.steps}
        return SessionRecord(
            collected=tuple(ids),
            results=results,
            exit_code=int(any(r.outcome.red for r in results.values())),
            finish_status=None,
            duration=execution.wall,
            cpu=execution.cpu,
            problem=execution.problem,
        )

    def execute(
        self, jobs: Sequence[Job], width: int = 1, stop: Callable[[], bool] = lambda: False
    ) -> list[Execution]:
        """Run the jobs, `width` at a time, and give back one execution per job that was started, in order."""
        done: dict[int, Execution] = {}
        for start in range(0, len(jobs), width):
            if stop():
                break
            wave = jobs[start : start + width]
            burners = max(job.conditions.burners for job in wave)
            disk = self.scratch / "disk.bin" if any(job.conditions.disk for job in wave) else None
            load = start_load(burners, str(disk) if disk else None) if burners or disk else []
            try:
                runs = self._wave(wave) if self.forks else [self._spawn(job) for job in wave]
            finally:
                stop_load(load, disk)
            for offset, execution in enumerate(runs):
                done[start + offset] = execution
            self._outside |= {path for e in runs for step in e.steps for path in step.made}
            if not any(job.keep_files for job in wave):
                self._guard.restore({path for e in runs for step in e.steps for path in step.writes})
                self._forget()
        return [done[n] for n in sorted(done)]

    def clean(self) -> None:
        """Put the tree back as it was, whatever was written."""
        self._guard.restore_all()
        self._forget()

    def _forget(self) -> None:
        """The next wave gets a TMPDIR of its own, and finds nothing outside the tree that an earlier one made."""
        if self._tmp is not None:
            shutil.rmtree(self._tmp, ignore_errors=True)
            self._tmp = None
        self._remove |= self._outside
        self._outside = set()

    def _message(self, number: int, job: Job) -> bytes:
        if self._tmp is None:
            self._tmp = self.scratch / "tmp" / f"h{self.hash_seed}-{number}"
        remove, self._remove = sorted(self._remove), set()
        return (
            json.dumps(
                {
                    "n": number,
                    "items": [self._index[nodeid] for nodeid in job.ids],
                    "conditions": replace(job.conditions, hash_seed=0).to_json(),
                    "seeds": list(job.seeds),
                    "entropies": list(job.entropies),
                    "probe": job.probe,
                    "timeout": job.timeout,
                    "each": job.each,
                    "tmp": str(self._tmp),
                    "remove": remove,
                    "prepare": job.prepare,
                }
            ).encode()
            + b"\n"
        )

    def _wave(self, jobs: Sequence[Job]) -> list[Execution]:
        if self._session is None:
            self._session, _ = self._launch(fork=True)
        folds = {next(self._numbers): Fold(job) for job in jobs}
        for number, fold in folds.items():
            self._session.channel.settimeout(None)
            self._session.channel.sendall(self._message(number, fold.job))
        limit = time.monotonic() + max(job.timeout for job in jobs) + 10
        try:
            while any(f.end is None for f in folds.values()):
                if time.monotonic() > limit:
                    raise EOFError
                for message in self._session.lines(1.0):
                    folds[message["n"]].add(message)
        except EOFError:  # the server itself is gone: these jobs say so, the next ones get a new server
            self.close()
        return [fold.finish(self.collected) for fold in folds.values()]

    def _spawn(self, job: Job) -> Execution:
        session, hello = self._launch(fork=False)
        if tuple(hello["ids"]) != self.collected:
            session.close()
            return Execution(job, (), "another collection")
        fold, number, began = Fold(job), next(self._numbers), time.monotonic()
        session.channel.sendall(self._message(number, job))
        mark, timeout = began, False
        try:
            while True:
                for message in session.lines(0.2):
                    fold.add(message)
                    mark = time.monotonic()
                if time.monotonic() - mark > job.each or time.monotonic() - began > job.timeout:
                    timeout = True
                    break
        except EOFError:
            pass
        session.close()
        fold.end = {"status": session.process.returncode, "timeout": timeout, "cpu": 0.0}
        fold.end["wall"] = time.monotonic() - began
        return fold.finish(self.collected)
