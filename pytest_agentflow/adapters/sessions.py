"""How is a child pytest session started, listened to and ended, and what can be believed of it?"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_agentflow.adapters import sandbox
from pytest_agentflow.child.session import CHANNEL
from pytest_agentflow.core.model import SessionRecord
from pytest_agentflow.core.outcomes import to_rootdir
from pytest_agentflow.core.session_fold import Ending, fold, with_collectors
from pytest_agentflow.core.unsteady import siblings

OUTPUT_TAIL = 64 * 1024


@dataclass(frozen=True, slots=True)
class RunSpec:
    """How the project's tests are run: one for observe, warm and verify, so that no difference of the sandbox reads as a flip.

    Paths are relative to the git top level unless said otherwise. `user_top`, `hidden`, `python` and `site_paths` are absolute.
    """

    python: str
    rootdir: str = "."
    inifile: str | None = None
    import_roots: tuple[str, ...] = ()
    pytest_args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    sandbox: str = "none"
    network: bool = False
    user_top: str = ""
    hidden: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    site_paths: tuple[str, ...] = ()
    memory_mb: int = 4096
    file_mb: int = 512
    user_python_path: tuple[str, ...] = ()
    bytecode: str = ""  # absolute: compiled code of interpreter and plugins, read-only for all but observe
    plugins: tuple[str, ...] = ()  # names of pytest plugins active in the user's session

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunSpec:
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return cls(**values)


def child_environment(
    spec: RunSpec, tree: Path, scratch: Path, hash_seed: int, extra: Mapping[str, str]
) -> dict[str, str]:
    """An environment from scratch: nothing is inherited that the spec does not name."""
    for name in ("home", "tmp"):
        (scratch / name).mkdir(parents=True, exist_ok=True)
    roots = [str(tree / root) if root != "." else str(tree) for root in spec.import_roots]
    path = os.pathsep.join([*roots, *spec.user_python_path, *spec.site_paths])
    return {
        **spec.env,
        "HOME": str(scratch / "home"),
        "TMPDIR": str(scratch / "tmp"),
        "PYTHONHASHSEED": str(hash_seed),
        **({"PYTHONPATH": path} if path else {}),
        **extra,
    }


def session_argv(
    spec: RunSpec,
    tree: Path,
    scratch: Path,
    ids: Sequence[str] | None,
    paths: Sequence[str],
    extra: Sequence[str],
) -> list[str]:
    """The command line of a child session. Selected ids go over the channel; here only their files are named."""
    # Without a shared prefix every child compiles pytest and its plugins anew, which costs more than most suites.
    flags = ["-P", "-s", "-X", f"pycache_prefix={spec.bytecode or scratch / 'pycache'}"]
    argv = [spec.python, *flags, "-m", "pytest_agentflow.child.start", "-p", "pytest_agentflow.child.session"]
    argv += ["--rootdir", str(tree / spec.rootdir)]
    if spec.inifile:
        argv += ["-c", str(tree / spec.inifile)]
    argv += [*spec.pytest_args, *steadying(spec, scratch, extra), *extra]
    if ids is not None:
        paths = list(dict.fromkeys(to_rootdir(i, spec.rootdir).partition("::")[0] for i in ids))
    return [*argv, *paths]


def steadying(spec: RunSpec, scratch: Path, extra: Sequence[str] = ()) -> list[str]:
    """Options that keep a child from stopping early, sharing state or measuring what is not asked for.

    They come after the ini's addopts, so the last word is ours. A plugin that `extra` switches off gets no option:
    one that nobody knows is an error where the project turns warnings into errors.
    """
    options = ["--maxfail=0", "--continue-on-collection-errors"]
    active = set(spec.plugins) - {a.removeprefix("no:") for a in extra if a.startswith("no:")}
    if "cacheprovider" in active:
        options += ["-o", f"cache_dir={scratch / 'cache'}"]
    if "xdist" in active:
        options.append("-n0")
    if {"pytest_cov", "_cov"} & active:
        options.append("--no-cov")
    return options


class Listener:
    """The parent's end of the private channel: reads frames until the child closes it, on a thread of its own."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._ours, self.theirs = socket.socketpair()
        self._nonce = secrets.token_hex(16)
        payload = json.dumps({**request, "nonce": self._nonce}).encode()
        self.messages: list[dict[str, Any]] = []
        self.broken: str | None = None
        self.heard = time.monotonic()
        self._payload = len(payload).to_bytes(4, "big") + payload
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def start(self) -> None:
        self.theirs.close()
        self._thread.start()

    def finish(self, timeout: float = 5.0) -> None:
        self._thread.join(timeout)
        self._ours.close()

    def _listen(self) -> None:
        try:
            self._ours.sendall(self._payload)
            with self._ours.makefile("rb") as stream:
                while header := stream.read(4):
                    frame = stream.read(int.from_bytes(header, "big"))
                    nonce, body = frame[:32], frame[32:]
                    if not secrets.compare_digest(nonce, self._nonce.encode()):
                        self.broken = "a frame without the session's nonce"
                        return
                    self.messages.append(json.loads(body))
                    self.heard = time.monotonic()
        except (OSError, ValueError) as error:
            self.broken = self.broken or f"{type(error).__name__}: {error}"


def _drain(stream: Any, tail: deque[bytes]) -> None:
    size = 0
    with stream:
        while chunk := stream.read1(8192):
            tail.append(chunk)
            size += len(chunk)
            while size > OUTPUT_TAIL and len(tail) > 1:
                size -= len(tail.popleft())


def _wait(
    process: subprocess.Popen[bytes],
    listener: Listener,
    timeout: float,
    stall: float | None,
    cancelled: Callable[[], bool],
) -> bool:
    """Wait for the end; True when the harness had to end it."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:
            now = time.monotonic()
            if now > deadline or (stall and now - listener.heard > stall) or cancelled():
                return True
        else:
            return False


def run_session(
    spec: RunSpec,
    tree: Path,
    *,
    ids: Sequence[str] | None,
    known: Sequence[str] = (),
    paths: Sequence[str] = (),
    scratch: Path,
    timeout: float,
    plugins: Mapping[str, Mapping[str, Any]] | None = None,
    hash_seed: int = 0,
    extra_args: Sequence[str] = (),
    extra_env: Mapping[str, str] | None = None,
    writable: Sequence[Path] = (),
    ordered: bool = False,
    text: bool = True,
    cwd: str = ".",
    stall: float | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> SessionRecord:
    """Run one child session on `tree` and return everything it said, with a `problem` when it cannot be trusted.

    `ids` selects tests by canonical id (None: what `paths` and the arguments select); tests that stand for ids of `known`
    which are not there any more go by those (`core/unsteady.py`), the record says which. `scratch` is a private directory
    for HOME, TMPDIR and bytecode; `timeout` is wall-clock seconds for the whole session, `stall` for one silence in it.
    `hash_seed` 0 also keeps objects at the same addresses from session to session; other seeds leave that to chance.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    listener = Listener(
        {
            "top": os.path.realpath(tree),
            "rootdir": spec.rootdir,
            "user_top": spec.user_top,
            "select": None if ids is None else list(ids),
            "known": list(known) if ids is None else siblings(ids, known),
            "ordered": ordered,
            "text": text,
            "plugins": dict(plugins or {}),
        }
    )
    channel = listener.theirs.fileno()
    env = child_environment(spec, tree, scratch, hash_seed, {**(extra_env or {}), CHANNEL: str(channel)})
    began = time.monotonic()
    process = sandbox.popen(
        replace(box_of(spec, (tree, scratch, *writable)), fixed_layout=hash_seed == 0),
        session_argv(spec, tree, scratch, ids, paths, extra_args),
        cwd=tree / cwd,
        env=env,
        pass_fds=(channel,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    timed_out, output = _attend(process, listener, timeout, stall, cancelled)
    ending = Ending(process.returncode, timed_out, listener.broken, time.monotonic() - began, output)
    record = fold(listener.messages, ending)
    return record if ids is None else with_collectors(record, ids)


def box_of(spec: RunSpec, writable: Sequence[Path]) -> sandbox.Box:
    """The sandbox of a child session."""
    return sandbox.Box(
        kind=spec.sandbox,
        network=spec.network,
        writable=tuple(writable),
        hidden=tuple(Path(p) for p in spec.hidden),
        readable=tuple(Path(p) for p in (*spec.readable, spec.bytecode) if p),
        memory_mb=spec.memory_mb,
        file_mb=spec.file_mb,
    )


def _attend(
    process: subprocess.Popen[bytes],
    listener: Listener,
    timeout: float,
    stall: float | None,
    cancelled: Callable[[], bool],
) -> tuple[bool, str]:
    """Listen until the session is over, then end whatever is left of it: (ended by the harness, the output's tail)."""
    tail: deque[bytes] = deque()
    drain = threading.Thread(target=_drain, args=(process.stdout, tail), daemon=True)
    drain.start()
    listener.start()
    try:
        timed_out = _wait(process, listener, timeout, stall, cancelled)
    finally:
        sandbox.kill(process)
    listener.finish()
    drain.join(5)
    return timed_out, b"".join(tail)[-OUTPUT_TAIL:].decode("utf-8", "replace")
