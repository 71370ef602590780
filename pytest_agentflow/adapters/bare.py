"""How is a process without pytest started on plain tests, and what did it hand out?

To the code under test it looks like an ordinary program of the user: no flag, no path, no environment of the harness.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from pytest_agentflow.adapters import sandbox
from pytest_agentflow.adapters.sessions import RunSpec, child_environment
from pytest_agentflow.child import bare_call, calls, stand_in
from pytest_agentflow.core import plain_values

Told = dict[str, dict[str, Any]]

# Nothing of this is left for the tested code to find: `__main__` is empty, the modules are in no table.
_START = """
def start():
    import json, os, socket, sys, types
    sys.path[:] = [p for p in sys.path if p]
    channel = socket.socket(fileno=int(sys.argv.pop()))
    os.set_inheritable(channel.fileno(), False)
    sys.argv[:], sys.orig_argv = ["main.py"], [sys.executable, "main.py"]
    stream = channel.makefile("rb")
    request = json.loads(stream.readline())
    programs = request.pop("programs")
    for name, text in programs.items():
        sys.modules[name] = types.ModuleType(name)
        exec(compile(text, "<string>", "exec"), sys.modules[name].__dict__)
    main = sys.modules[name].main
    for name in programs:
        del sys.modules[name]
    main(channel, stream, request)
globals().pop("start")()
"""


def run_bare(
    spec: RunSpec, tree: Path, scratch: Path, *, sources: Mapping[str, str], packages: Mapping[str, str], tests: Sequence[Mapping[str, Any]],
    hidden: Sequence[Path], timeout: float, disguised: bool = True, record: bool = False,
) -> tuple[Told, str | None]:  # fmt: skip
    """What each test handed out, by id, and why the process cannot be trusted (None: it can).

    Undisguised, it runs under the flags, paths and environment of the other sessions. With `record`, tests tell which plain
    calls of project functions they made. `packages` names the package of each source, for relative imports.
    """
    request = {
        "sources": dict(sources), "packages": dict(packages), "tests": list(tests), "record": record, "names": {path: f"m{secrets.token_hex(4)}" for path in sources},
    }  # fmt: skip
    return _ask(
        spec, tree, scratch, request, (plain_values, calls, stand_in, bare_call), hidden, timeout, disguised
    )


def run_calls(
    spec: RunSpec, tree: Path, scratch: Path, *, wanted: Sequence[Any], hidden: Sequence[Path], timeout: float, again: int = 0
) -> tuple[list[Any], list[int]]:  # fmt: skip
    """The answer of the code in `tree` to each call, as `child.calls.answer` gives it, or None; and which of the first
    `again` calls, made many times, at last have another answer.
    """
    request = {"calls": list(wanted), "again": again}
    told, _ = _ask(spec, tree, scratch, request, (plain_values, calls), hidden, timeout, disguised=True)
    answers = [told.get(str(n), {}) for n in range(len(wanted))]
    return [a.get("answer") for a in answers], [n for n, a in enumerate(answers) if a.get("worn")]


def _ask(
    spec: RunSpec, tree: Path, scratch: Path, request: Mapping[str, Any], programs: Sequence[ModuleType],
    hidden: Sequence[Path], timeout: float, disguised: bool,
) -> tuple[Told, str | None]:  # fmt: skip
    ours, theirs = socket.socketpair()
    nonce = secrets.token_hex(16)
    place = _place(spec, tree) if disguised else tree
    texts = {m.__name__: Path(str(m.__file__)).read_text(encoding="utf-8") for m in programs}
    moved = place != tree
    box = sandbox.Box(
        kind=spec.sandbox, network=spec.network, writable=() if moved else (tree, scratch), binds=((tree, place),) if moved else (),
        hidden=(*map(Path, spec.hidden), *(place / p.relative_to(tree) for p in hidden)),
        readable=tuple(p for p in map(Path, spec.readable) if p not in hidden), memory_mb=spec.memory_mb, file_mb=spec.file_mb,
    )  # fmt: skip
    flags = [] if disguised else ["-P", "-s", "-X", f"pycache_prefix={scratch / 'pycache'}"]
    env = child_environment(spec, place, scratch, 0, {})
    with (scratch / "bare.log").open("wb") as output:
        process = sandbox.popen(
            box, [spec.python, *flags, "-c", _START, str(theirs.fileno())], cwd=place / spec.rootdir,
            env=_ordinary(env, spec) if disguised else env, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    theirs.close()
    try:
        ours.settimeout(timeout)
        ours.sendall(
            json.dumps({**request, "nonce": nonce, "tree": str(place), "programs": texts}).encode() + b"\n"
        )
        data = _read_all(ours, timeout)
    except OSError as error:
        return {}, f"the plain process did not answer: {type(error).__name__}"
    finally:
        sandbox.kill(process)
        ours.close()
    return _told(data, nonce)


def _place(spec: RunSpec, tree: Path) -> Path:
    """Where the tested code finds itself: at the user's own path, where a mount namespace allows it; never below /tmp.

    What works below /tmp only is right in no place but the harness's own.
    """
    if spec.sandbox != "bwrap" or not spec.user_top:
        return tree
    top = Path(spec.user_top)
    if not any(top.is_relative_to(p) for p in (tempfile.gettempdir(), "/tmp", "/var/tmp")):
        return top
    empty = (Path(p) for p in ("/srv", "/opt", "/mnt", "/media"))
    return next((p / top.name for p in empty if p.is_dir() and not any(p.iterdir())), top)


def _ordinary(env: Mapping[str, str], spec: RunSpec) -> dict[str, str]:
    """An environment like a shell's; unconfined code must not get at the real home."""
    home = {} if spec.sandbox == "none" else {"HOME": str(Path.home())}
    user = {name: os.environ.get(name, "user") for name in ("USER", "LOGNAME")}
    kept = {
        k: v for k, v in env.items() if k != "PYTHONHASHSEED" and (k != "TMPDIR" or spec.sandbox != "bwrap")
    }
    return {
        "SHELL": "/bin/bash",
        "TERM": "xterm-256color",
        "SHLVL": "1",
        "LANG": "C.UTF-8",
        **user,
        **kept,
        **home,
    }


def _read_all(channel: socket.socket, timeout: float) -> bytes:
    data, limit = bytearray(), time.monotonic() + timeout
    while chunk := channel.recv(1 << 16):
        data += chunk
        channel.settimeout(max(0.1, limit - time.monotonic()))
        if len(data) > 64 << 20:
            raise OSError("too much output")
    return bytes(data)


def _told(data: bytes, nonce: str) -> tuple[Told, str | None]:
    told: Told = {}
    ended = False
    for line in data.split(b"\n"):
        if not line:
            continue
        if not line.startswith(nonce.encode()):
            return told, "a line without the nonce"
        try:
            message = json.loads(line[len(nonce) :])
        except (ValueError, RecursionError):
            return told, "a broken line"
        if message.get("end"):
            ended = True
        elif isinstance(message.get("id"), str):
            told[message["id"]] = message
    return told, None if ended else "the plain process ended before its tests did"
