"""How are candidates tried in forks of a prepared pytest process instead of in processes of their own?

Loaded with `-p pytest_agentflow.child.warm`. Before any conftest is read the process becomes a *nursery*: it never runs
project code itself. Each fork of it continues pytest's start-up as if nothing had happened: one becomes the *collected*
server, which holds the collected session and forks once per candidate (hot swap); the others are candidates that need a
fresh import of the project. A candidate's process holds none of the command sockets and has a TMPDIR of its own.
"""

from __future__ import annotations

import gc
import importlib
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from pytest_agentflow.child.hotswap import LiveCode, Refused, Swaps, swap
from pytest_agentflow.child.overlay import Bell, Overlay
from pytest_agentflow.child.warm_server import ForkServer, Message, Say, receive, send, threads
from pytest_agentflow.core.model import Outcome
from pytest_agentflow.core.outcomes import outcome_of, to_top_level

CHANNELS = "AGENTFLOW_WARM"  # "<fd of the nursery>,<fd of the collected server>"
MESSAGE = 600


class State:
    """What this process is and what it was asked; one per process, set before pytest's start-up continues."""

    role = ""  # "", "collected" or "candidate"
    setup: Message
    request: Message
    say: Say
    channel = -1
    ran: dict[int, CodeType]
    bell = Bell()
    modules: set[str]  # test modules that could be collected


STATE = State()


# the nursery ------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, args: list[str]
) -> Generator[None, object, object]:
    """Serve from here; what returns from serving is a fork that goes on with pytest's start-up."""
    channels = os.environ.pop(CHANNELS, None)
    if channels is not None:
        nursery, collected = (int(fd) for fd in channels.split(","))
        _nursery(nursery, collected)
        paths = STATE.request["paths"]
        args += paths
        early_config.known_args_namespace.file_or_dir = list(paths)
    return (yield)


def _nursery(nursery: int, collected: int) -> None:
    for fd in (nursery, collected):
        os.set_inheritable(fd, False)
    STATE.setup = receive(nursery) or {}
    if os.fork() == 0:
        os.close(nursery)
        _become_collected(collected)
        return
    os.close(collected)
    gc.collect()
    gc.freeze()
    server = ForkServer(nursery, {"preload": _preload})
    send(nursery, {"hello": "nursery", "threads": threads()})
    STATE.request, STATE.say = server.serve()
    STATE.role = "candidate"
    prepare(STATE.request)
    _install(STATE.request)


def _become_collected(fd: int) -> None:
    STATE.role, STATE.channel, STATE.ran = "collected", fd, {}
    STATE.request = STATE.setup
    ran = STATE.ran

    def on_call(frame: Any, _event: str, _arg: object) -> None:
        ran[id(frame.f_code)] = frame.f_code

    sys.settrace(on_call)


def _preload(message: Message) -> Message:
    """Import what is not the project's, so that a fresh import pays for the project alone."""
    top = STATE.setup["top"] + os.sep
    for name in message["modules"]:
        try:
            importlib.import_module(name)
        except BaseException:  # noqa: BLE001 - somebody else's import; the candidate will meet it itself
            continue
    for name, module in list(sys.modules.items()):
        if os.path.realpath(getattr(module, "__file__", None) or "/").startswith(top):
            del sys.modules[name]
    gc.collect()
    gc.freeze()
    return {"threads": threads()}


# both kinds of candidates -----------------------------------------------------------------------------


def prepare(request: Message) -> None:
    """A process group, a temporary directory and limits of its own."""
    os.setpgid(0, 0)
    tmp = request["tmp"]
    os.makedirs(tmp, exist_ok=True)  # noqa: PTH103 - pathlib costs more than the fork
    os.environ["TMPDIR"] = tmp
    tempfile.tempdir = None
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, request.get("startup_cpu", 60.0))
    if request.get("memory_mb"):
        limit = request["memory_mb"] << 20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _install(request: Message) -> None:
    """Lay the candidate's files over the tree for this process."""
    if request["files"]:
        STATE.bell.hang()
        Overlay({path: _texts(path, delta) for path, delta in request["files"].items()}).install()


def _texts(path: str, delta: Sequence[Any], base: bytes | None = None) -> tuple[bytes, bytes]:
    """A candidate's file is told as what differs from the file on disk: offset, bytes to drop, bytes to put there."""
    base = Path(path).read_bytes() if base is None else base
    at, drop, text = delta
    return base, base[:at] + text.encode("latin-1") + base[at + drop :]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if STATE.role == "candidate":
        STATE.modules = {_canonical(item).partition("::")[0] for item in items}
        order = {nodeid: n for n, nodeid in enumerate(STATE.request["ids"])}
        items[:] = sorted(
            (item for item in items if _canonical(item) in order), key=lambda i: order[_canonical(i)]
        )


def _canonical(item: pytest.Item) -> str:
    return to_top_level(item.nodeid, STATE.setup["rootdir"])


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> object:
    """Run the candidate's items and leave, or become the server that forks candidates."""
    if STATE.role == "candidate":
        STATE.modules = getattr(STATE, "modules", set())
        run(session.items, STATE.request, STATE.say)
        os._exit(0)
    if STATE.role == "collected":
        _serve_collected(session)
    return None


class Phases:
    """Collects the phase reports of the test that runs now."""

    seen: list[tuple[str, str, bool]]
    message = ""


PHASES = Phases()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if STATE.role == "candidate":
        PHASES.seen.append((str(report.when), report.outcome, hasattr(report, "wasxfail")))
        if report.failed and not PHASES.message:
            PHASES.message = str(report.longrepr)[:MESSAGE]


def run(items: Sequence[pytest.Item], request: Message, say: Say) -> None:
    """Run items in order through the whole protocol; stop as asked; say each outcome as soon as it is known."""
    _cheap_failures()
    limits, stop, keep_going = request["cpu"], request["stop"], set(request.get("keep_going", ()))
    for n, item in enumerate(items):
        nodeid = _canonical(item)
        following = items[n + 1] if n + 1 < len(items) else None
        outcome, took = _run_one(item, following, limits.get(nodeid, limits[""]))
        say({"id": nodeid, "outcome": outcome.value, "cpu": took, "message": PHASES.message})
        if outcome.red and stop and nodeid not in keep_going:
            break
    signal.setitimer(signal.ITIMER_PROF, 0)
    for module in (
        i for i in request["ids"] if "::" not in i
    ):  # a module as a target: it can be collected now
        outcome = Outcome.PASSED if module in STATE.modules else Outcome.ERROR
        say({"id": module, "outcome": outcome.value, "cpu": 0.0, "message": ""})
    say({"done": True, "rung": STATE.bell.rung})


def _run_one(item: pytest.Item, following: pytest.Item | None, limit: float) -> tuple[Outcome, float]:
    PHASES.seen, PHASES.message = [], ""
    signal.setitimer(signal.ITIMER_PROF, limit)
    began = time.process_time()
    item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
    return outcome_of(PHASES.seen), time.process_time() - began


def _cheap_failures() -> None:
    """Most candidates fail, and pytest's representation of a failure costs more than the test: say it in a line.

    Private names on purpose, found by the tests of this module when they move.
    """
    from _pytest import nodes
    from _pytest.assertion import util

    def one_line(
        _self: object, excinfo: pytest.ExceptionInfo[BaseException], *_a: object, **_k: object
    ) -> str:
        return f"{excinfo.type.__name__}: {excinfo.value!s}"

    nodes.Node._repr_failure_py = one_line  # type: ignore[method-assign, assignment]
    if hasattr(util, "assertrepr_compare"):
        util.assertrepr_compare = lambda *_args, **_kwargs: []  # type: ignore[assignment]


# the collected server ---------------------------------------------------------------------------------


def _serve_collected(session: pytest.Session) -> None:
    sys.settrace(None)
    items = {_canonical(item): item for item in session.items}
    top = STATE.setup["top"]
    gc.collect()
    live = LiveCode(top, set(STATE.ran.values()))
    STATE.ran = {}
    gc.freeze()
    known = {name for name in sys.modules if name != "__main__"}
    outside = [n for n in known if not _in_tree(sys.modules[n], top)]
    send(
        STATE.channel,
        {
            "hello": "collected",
            "ids": list(items),
            "threads": threads(),
            "sockets": _sockets(),
            "modules": outside,
        },
    )
    planned: dict[int, Swaps] = {}

    def check(request: Message) -> Message | None:
        """Compile before forking: the memory is reused, and a refusal costs no fork."""
        planned.clear()
        if request["op"] == "run":
            try:
                planned[request["n"]] = _plan(live, request["files"])
            except SyntaxError as error:
                return {"invalid": str(error)}
            except (Refused, ValueError, RecursionError, MemoryError) as why:
                return {"refused": str(why)}
        return None

    request, say = ForkServer(STATE.channel, {}, check).serve()
    STATE.role, STATE.request = "candidate", request
    prepare(request)
    _fresh_capture(session.config)
    _fresh_tmp_path(session.config, request["tmp"])
    STATE.bell.hang()
    if request["op"] == "batch":
        run_batch(items, live, request, say)
    else:
        swap(planned[request["n"]])
        _install(request)  # also for a reload, or an import that only the test makes
        run([items[i] for i in request["ids"] if i in items], request, say)
    os._exit(0)


def _plan(live: LiveCode, files: Message) -> Swaps:
    swaps: Swaps = []
    for path, delta in files.items():
        if live.loaded(path):
            _, new = _texts(path, delta, live.base(path).data)
            swaps += live.plan(path, new.decode("utf-8"))
        elif _imported(path):
            raise Refused("the module is loaded and holds no function")
    return swaps


def run_batch(items: dict[str, pytest.Item], live: LiveCode, request: Message, say: Say) -> None:
    """Many candidates against one failing test in one process, for screening out only.

    Whoever passes is tried again in a process of its own. State may leak from one candidate to the next, so the last
    run is the base's again: when it does not fail as it did, nothing that was said here counts.
    """
    _cheap_failures()
    item = items[request["ids"][0]]
    limit = request["cpu"][""]
    for n, files in enumerate([*request["batch"], {}]):
        try:
            undo = swap(_plan(live, files))
        except SyntaxError as error:
            say({"c": n, "invalid": str(error)})
            continue
        except (Refused, ValueError, RecursionError, MemoryError) as why:
            say({"c": n, "refused": str(why)})
            continue
        say({"c": n, "begun": True})
        outcome, took = _run_one(item, None, limit)
        say({"c": n, "outcome": outcome.value, "cpu": took, "message": PHASES.message})
        swap(undo)
    say({"done": True, "rung": STATE.bell.rung})


def _imported(path: str) -> bool:
    return any(
        os.path.realpath(getattr(m, "__file__", None) or "/") == path for m in list(sys.modules.values())
    )


def _in_tree(module: object, top: str) -> bool:
    file = getattr(module, "__file__", None)
    return not isinstance(file, str) or os.path.realpath(file).startswith(top + os.sep)


def _sockets() -> int:
    """Open sockets of the collected session apart from the command socket: forks would share them."""
    count = 0
    for fd in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115
            count += target.startswith("socket:") and int(fd) != STATE.channel
        except OSError:
            continue
    return count


def _fresh_capture(config: pytest.Config) -> None:
    """Forks share the offset of pytest's capture files: give this one files of its own behind the same descriptors."""
    capman: Any = config.pluginmanager.getplugin("capturemanager")
    capturing = getattr(capman, "_global_capturing", None)
    for stream in (getattr(capturing, "out", None), getattr(capturing, "err", None)):
        fd = getattr(stream, "tmpfile", None)
        if fd is not None and hasattr(stream, "targetfd"):
            memory = os.memfd_create("capture")
            os.dup2(memory, fd.fileno(), inheritable=False)
            os.close(memory)


def _fresh_tmp_path(config: pytest.Config, tmp: str) -> None:
    factory: Any = getattr(config, "_tmp_path_factory", None)
    if factory is not None:
        factory._basetemp = None
        factory._given_basetemp = Path(tmp) / "pytest"
