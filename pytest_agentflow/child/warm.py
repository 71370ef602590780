"""How are candidates tried in forks of a prepared pytest process instead of in processes of their own?

Loaded with `-p pytest_agentflow.child.warm`. Before any conftest is read the process becomes a *nursery*: it never runs
project code itself. Each fork of it continues pytest's start-up as if nothing had happened: one becomes the *collected*
server, which holds the collected session and forks once per candidate (hot swap); the others are candidates that need a
fresh import of the project. A candidate's process holds none of the command sockets and has a TMPDIR of its own.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pytest_agentflow.child import warm_fork
from pytest_agentflow.child.forking import ForkServer, Message, Voice, receive, send, threads
from pytest_agentflow.child.hotswap import LiveCode, Swaps
from pytest_agentflow.child.names import known_as, recognise
from pytest_agentflow.child.overlay import Bell, Overlay
from pytest_agentflow.child.ran import Ran
from pytest_agentflow.child.recompile import Refused, why_not
from pytest_agentflow.child.rewritten import Rewritten
from pytest_agentflow.child.warm_run import MESSAGE, Runner, cheap_failures
from pytest_agentflow.core.outcomes import to_top_level

CHANNELS = "AGENTFLOW_WARM"  # "<fd of the nursery>,<fd of the collected server>"


class State:
    """What this process is and what it was asked; one per process, set before pytest's start-up continues."""

    role = ""  # "", "collected" or "candidate"
    setup: Message
    request: Message
    say: Voice
    channel = -1
    ran: Ran
    environment: Mapping[str, str]
    bell = Bell()
    uncollected: ClassVar[dict[str, str]] = {}  # test module -> how its import ended
    modules: frozenset[str] = frozenset()  # test modules that could be collected


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
        _nursery(early_config, nursery, collected)
        paths = STATE.request["paths"]
        args += paths
        early_config.known_args_namespace.file_or_dir = list(paths)
    return (yield)


def _nursery(config: pytest.Config, nursery: int, collected: int) -> None:
    for fd in (nursery, collected):
        os.set_inheritable(fd, False)
    STATE.setup = receive(nursery) or {}
    loaded = _tree_files()
    gc.freeze()
    if os.fork() == 0:
        os.close(nursery)
        STATE.role, STATE.channel, STATE.ran = "collected", collected, Ran()
        STATE.request, STATE.environment = STATE.setup, dict(os.environ)
        STATE.ran.start()
        return
    os.close(collected)
    rewritten = Rewritten(config, STATE.setup["top"])
    rewritten.install()
    server = ForkServer(
        nursery,
        {"preload": lambda message: _preload(message, nursery)},
        lambda request: rewritten.make(request["paths"]),
    )
    send(nursery, {"hello": "nursery", "threads": threads(), "loaded": loaded})
    STATE.request, STATE.say = server.serve()
    STATE.role = "candidate"
    _prepare(STATE.request)
    if STATE.request["files"]:
        overlay = _overlay(STATE.request["files"], (), 0)
        STATE.bell.hang(overlay.bells(STATE.request["files"]))
        overlay.install()


def _tree_files() -> list[str]:
    """Files of the tree that are loaded: by a plugin, before anything can be told about what they did."""
    top = STATE.setup["top"] + os.sep
    found = {os.path.realpath(getattr(m, "__file__", None) or "/") for m in list(sys.modules.values())}
    return sorted(path for path in found if path.startswith(top))


def _preload(message: Message, channel: int) -> Message:
    """Import what is not the project's, so that a fresh import pays for the project alone.

    In a fork, which takes over when all went well: libraries that start threads or import the project themselves would
    spoil every candidate to come.
    """
    before = _tree_files()
    ours, theirs = os.pipe()
    heir = os.fork()
    if heir:
        os.close(theirs)
        took_over = os.read(ours, 1)
        os.close(ours)
        if took_over:
            os.close(channel)
        os.waitpid(heir, 0)
        if took_over:
            os._exit(0)
        return {"preloaded": False}
    os.close(ours)
    for name in message["modules"]:
        try:
            importlib.import_module(name)
        except BaseException:  # noqa: BLE001 - somebody else's import; the candidate will meet it itself
            continue
    if threads() > 1 or _tree_files() != before:
        os._exit(1)
    gc.freeze()
    os.write(theirs, b"1")
    os.close(theirs)
    return {"preloaded": True}


# both kinds of candidates -----------------------------------------------------------------------------


def _prepare(request: Message) -> None:
    warm_fork.prepare(request["tmp"], request["startup_cpu"], request["memory_mb"])


def _overlay(files: Mapping[str, Sequence[Any]], silent: Sequence[str], start: int) -> Overlay:
    """Lay the candidate's files over the tree; the bells of `silent` ones are numbered last and count for nothing."""
    order = sorted(files, key=lambda path: path in silent)
    return Overlay({path: _texts(path, files[path]) for path in order}, start)


def _texts(path: str, delta: Sequence[Any]) -> tuple[bytes, bytes]:
    """A candidate's file is told as what differs from the file on disk: offset, bytes to drop, bytes to put there."""
    base = Path(path).read_bytes()
    at, drop, text = delta
    return base, base[:at] + text.encode("latin-1") + base[at + drop :]


def _canonical(item: pytest.Item) -> str:
    return known_as(item.nodeid, STATE.setup["rootdir"])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Only what was asked for, in that order; an id that names a module stands for every test of it."""
    if STATE.role:
        recognise(items, STATE.setup["known"], STATE.setup["rootdir"])
    if STATE.role == "candidate":
        STATE.modules = frozenset(_canonical(item).partition("::")[0] for item in items)
        order = {nodeid: n for n, nodeid in enumerate(STATE.request["ids"])}

        def place(item: pytest.Item) -> int:
            nodeid = _canonical(item)
            return order.get(nodeid, order.get(nodeid.partition("::")[0], -1))

        items[:] = sorted((item for item in items if place(item) >= 0), key=place)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Why a module could not be collected: for candidates that have it as their target."""
    report = yield
    call = getattr(report, "call", None)
    if STATE.role == "candidate" and call is not None and call.excinfo is not None:
        error = call.excinfo.value
        error = error.__cause__ or error
        STATE.uncollected[to_top_level(collector.nodeid, STATE.setup["rootdir"])] = (
            f"{type(error).__name__}: {error}"[:MESSAGE]
        )
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> object:
    """Run the candidate's items and leave, or become the server that forks candidates."""
    if STATE.role == "collected":
        _serve_collected(session)
    if STATE.role == "candidate":
        cheap_failures()
        runner = Runner(session.config, STATE.setup["rootdir"], STATE.bell)
        runner.run(session.items, STATE.request, STATE.modules, STATE.say, STATE.uncollected)
        os._exit(0)
    return None


# the collected server ---------------------------------------------------------------------------------


def _serve_collected(session: pytest.Session) -> None:
    """Fork a candidate per request; what returns from serving runs it and ends the process."""
    from pytest_agentflow.child.warm_batch import run_batch  # neither the nursery nor its candidates need it

    ran, unsafe = STATE.ran.stop()
    items = {_canonical(item): item for item in session.items}
    live = LiveCode(STATE.setup["top"], ran, STATE.ran.sources_read)
    files, sockets = warm_fork.open_files(STATE.channel)
    hello = {"ids": list(items), "threads": threads(), "sockets": sockets, "modules": _preloadable()}
    shared = "the collected session shares memory with others" if warm_fork.shares_memory() else ""
    cheap_failures()
    runner = Runner(session.config, STATE.setup["rootdir"], STATE.bell)
    gc.freeze()
    send(STATE.channel, {"hello": "collected", "unsafe": unsafe or shared, **hello})
    planned: dict[int, Swaps] = {}

    def check(request: Message) -> Message | None:
        """Compile before forking: the memory is reused, and a refusal costs no fork. A batch finds its files read at least."""
        planned.clear()
        try:
            if request["op"] == "batch":
                _read(live, request["batch"])
            else:
                planned[request["n"]] = _plan(live, request["files"])
        except SyntaxError as error:
            return {"invalid": str(error)}
        except Exception as error:  # noqa: BLE001 - see `why_not`
            return {"refused": why_not(error)}
        return None

    request, say = ForkServer(STATE.channel, {}, check).serve()
    STATE.role = ""
    _prepare(request)
    warm_fork.reopen(files)
    warm_fork.fresh_capture(session.config)
    warm_fork.fresh_tmp_path(session.config, request["tmp"])
    if request["op"] == "batch":
        STATE.bell.hang(1)
        run_batch(items[request["ids"][0]], live, request, runner, say)
    else:
        _lay_over(live, planned[request["n"]], request["files"])
        runner.run([items[i] for i in request["ids"] if i in items], request, frozenset(), say, {})
    os._exit(0)


def _preloadable() -> list[str]:
    """Installed modules that the session imported; none when it changed the environment, which they may have looked at."""
    if dict(os.environ) != STATE.environment:
        return []
    top = STATE.setup["top"] + os.sep
    return [
        name
        for name, module in list(sys.modules.items())
        if isinstance(file := getattr(module, "__file__", None), str)
        and not os.path.realpath(file).startswith(top)
    ]


def _plan(live: LiveCode, files: Message) -> Swaps:
    loaded = {path: delta for path, delta in files.items() if live.loaded(path)}
    if any(path not in loaded and _imported(path) for path in files):
        raise Refused("the module is loaded and holds no function")
    return live.plan(loaded)


def _read(live: LiveCode, batch: Sequence[Message]) -> None:
    """What of the files can be read once for all candidates."""
    for path in {path for files in batch for path in files}:
        with contextlib.suppress(Refused):  # each candidate is told so in its turn
            live.base(path)


def _lay_over(live: LiveCode, swaps: Swaps, files: Message) -> None:
    """Swap what is loaded; lay the files over the tree for a reload, or for an import that only the test makes."""
    swaps.apply()
    if files:
        loaded = [path for path in files if live.loaded(path)]
        overlay = _overlay(files, loaded, swaps.bells)
        STATE.bell.hang(swaps.bells + overlay.bells(set(files) - set(loaded)))
        overlay.install()


def _imported(path: str) -> bool:
    return any(
        os.path.realpath(getattr(m, "__file__", None) or "/") == path for m in list(sys.modules.values())
    )
