"""How does a collected session run chosen tests again and again, each time in a forked copy of itself?

Loaded with `-p pytest_agentflow.child.forkserver`. Collection happens once. Then jobs come in over an inherited socket, one
JSON line each; each runs in a forked child in its own process group, which streams its results back. Where a fork is unsafe
the job runs in this very process, which then ends: the harness starts a new one for the next job.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pytest_agentflow.child import conditions as conditions_module
from pytest_agentflow.child import probe
from pytest_agentflow.child.fork_reporter import Reporter
from pytest_agentflow.child.threads import threads_alive
from pytest_agentflow.core.conditions import Conditions
from pytest_agentflow.core.outcomes import to_top_level

VARIABLE = "AGENTFLOW_FORKSERVER"
CHUNK = 1 << 16


class Running:
    """One forked child, as the server sees it."""

    def __init__(self, number: int, pid: int, pipe: int, timeout: float, each: float) -> None:
        self.number, self.pid, self.pipe = number, pid, pipe
        self.began = time.monotonic()
        self.deadline = self.began + timeout
        self.each = each  # seconds that one test may take
        self.test_began = self.began
        self.rest = b""
        self.killed = False


class Server:
    """Takes jobs, forks, forwards results, kills what outstays its time."""

    def __init__(self, session: pytest.Session, channel: socket.socket, top: str, rootdir: str) -> None:
        self.session, self.channel, self.top, self.rootdir = session, channel, top, rootdir
        self.running: dict[int, Running] = {}
        self.inbox = b""
        self.open = True

    def send(self, message: dict[str, Any]) -> None:
        self.channel.sendall(json.dumps(message).encode() + b"\n")

    def serve(self) -> None:
        while self.open or self.running:
            wait = [r.pipe for r in self.running.values()] + ([self.channel.fileno()] if self.open else [])
            ready, _, _ = select.select(wait, [], [], 0.05 if self.running else None)
            if self.open and self.channel.fileno() in ready:
                self.read_jobs()
            for child in list(self.running.values()):
                if child.pipe in ready:
                    self.forward(child)
                self.check(child)

    def read_jobs(self) -> None:
        data = self.channel.recv(CHUNK)
        if not data:
            self.open = False
            for child in self.running.values():
                kill_group(child.pid)
            return
        *lines, self.inbox = (self.inbox + data).split(b"\n")
        for line in lines:
            self.fork(json.loads(line))

    def fork(self, job: dict[str, Any]) -> None:
        remove(job["remove"])
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            self.channel.close()
            os.setsid()
            run_job(self.session, job, writer, self.top)  # never returns
        os.close(writer)
        os.set_blocking(reader, False)
        child = Running(job["n"], pid, reader, job["timeout"], job["each"])
        self.running[child.number] = child

    def forward(self, child: Running) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(child.pipe, CHUNK):
                *lines, child.rest = (child.rest + data).split(b"\n")
                for line in lines:
                    child.test_began = time.monotonic()
                    self.channel.sendall(b'{"n": %d, %s\n' % (child.number, line[1:]))

    def check(self, child: Running) -> None:
        now = time.monotonic()
        if not child.killed and (now > child.deadline or now - child.test_began > child.each):
            child.killed = True
            kill_group(child.pid)
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid == 0:
            return
        self.forward(child)
        kill_group(child.pid)  # grandchildren that stayed
        os.close(child.pipe)
        del self.running[child.number]
        self.send(
            {
                "n": child.number,
                "e": "end",
                "status": os.waitstatus_to_exitcode(status),
                "timeout": child.killed,
                "cpu": usage.ru_utime + usage.ru_stime,
                "wall": now - child.began,
            }
        )


def kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def remove(paths: list[str]) -> None:
    """What earlier jobs made outside the tree: only from in here a sandbox's private folders can be seen."""
    for path in map(Path, paths):
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def run_job(session: pytest.Session, job: dict[str, Any], pipe: int, top: str) -> None:
    """In the child: run the job's tests in its order, report, and leave without any clean-up of the parent's things."""
    status = 1
    reporter = Reporter(pipe, top)
    try:
        prepare_process(session.config, job)
        session.config.pluginmanager.register(reporter, "agentflow-fork-reporter")
        if job.get("prepare"):
            module, _, function = str(job["prepare"][0]).partition(":")
            getattr(import_module(module), function)(session, job["prepare"][1])
        run_items(session, job, reporter, top)
        status = 0
    except BaseException as error:  # noqa: BLE001 - whatever project code raised, it must not climb into the server's stack
        with contextlib.suppress(OSError):
            reporter.send({"e": "broken", "why": f"{type(error).__name__}: {error}"[:500]})
    finally:
        os._exit(status)


def run_items(session: pytest.Session, job: dict[str, Any], reporter: Reporter, top: str) -> None:
    writes = probe.start_writes(top, job["tmp"])
    session.config.pluginmanager.register(writes, "agentflow-fork-writes")
    watch = probe.start(top) if job.get("probe") else None
    if watch:
        session.config.pluginmanager.register(watch, "agentflow-fork-probe")
    items = conditions_module.distinct([session.items[index] for index in job["items"]])
    seeds, entropies = job.get("seeds"), job.get("entropies")
    for position, item in enumerate(items):
        if seeds:
            conditions_module.reseed(seeds[position])
        if entropies:
            conditions_module.set_entropy(entropies[position])
        reporter.send({"e": "start", "i": job["items"][position]})
        at = time.time()  # as the test sees it
        following = items[position + 1] if position + 1 < len(items) else None
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        reporter.done(at, probe.collect(watch, item) if watch else [], writes.take())
    sys.setprofile(None)


def prepare_process(config: pytest.Config, job: dict[str, Any]) -> None:
    """A TMPDIR of its own, no terminal noise, and the job's conditions."""
    os.makedirs(job["tmp"], exist_ok=True)  # noqa: PTH103 - this runs once per execution: no pathlib
    os.environ["TMPDIR"] = tempfile.tempdir = job["tmp"]
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is not None:
        factory._basetemp = factory._given_basetemp = None
    for name in ("terminalreporter", "junitxml"):
        plugin = config.pluginmanager.get_plugin(name)
        if plugin is not None:
            config.pluginmanager.unregister(plugin)
    os.environ.update(job.get("env", {}))
    conditions_module.apply(Conditions.from_json(job.get("conditions", {})))


class ForkPlugin:
    """Takes the place of pytest's own loop over the tests."""

    def __init__(self, channel: socket.socket, hello: dict[str, Any]) -> None:
        self.channel, self.hello = channel, hello
        self.errors: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors.append(to_top_level(report.nodeid, self.hello["rootdir"]))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        top, rootdir = self.hello["top"], self.hello["rootdir"]
        server = Server(session, self.channel, top, rootdir)
        server.send(
            {
                "e": "collected",
                "ids": [to_top_level(item.nodeid, rootdir) for item in session.items],
                "errors": self.errors,
                "threads": threads_alive() - _before[0],
                "fork": hasattr(os, "fork"),
                "cpu": sum(os.times()[:2]),
            }
        )
        conditions_module.index_holders()
        if self.hello["fork"]:
            server.serve()
        else:
            reader = self.channel.makefile("rb")
            line = reader.readline()
            if line:
                job = json.loads(line)
                remove(job["remove"])
                run_job(session, job, self.channel.fileno(), top)
        return True


_before = [
    1
]  # threads of installed plugins, alive before any project code: idle servers, safe to fork beside


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    _before[0] = threads_alive()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Take over only when the harness handed a socket down; xdist's workers get none."""
    fd = os.environ.pop(VARIABLE, None)
    if fd is None:
        return
    os.set_inheritable(int(fd), False)
    channel = socket.socket(fileno=int(fd))
    hello = json.loads(channel.recv(CHUNK))
    config.pluginmanager.register(ForkPlugin(channel, hello), "agentflow-forkserver")
