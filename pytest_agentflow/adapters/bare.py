"""How is a process without pytest started on plain tests, and what did it hand out?"""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_agentflow.adapters import sandbox
from pytest_agentflow.adapters.sessions import RunSpec, child_environment
from pytest_agentflow.child import bare_call
from pytest_agentflow.core import plain_values

SCRIPT = Path(bare_call.__file__)


def run_bare(
    spec: RunSpec,
    tree: Path,
    scratch: Path,
    *,
    sources: Mapping[str, str],
    tests: Sequence[Mapping[str, Any]],
    hidden: Sequence[Path],
    timeout: float,
) -> tuple[dict[str, dict[str, Any]], str | None]:
    """What each test handed out, by id, and why the process cannot be trusted (None: it can)."""
    ours, theirs = socket.socketpair()
    nonce = secrets.token_hex(16)
    request = {
        "nonce": nonce, "tree": str(tree), "sources": dict(sources), "tests": list(tests),
        "encoder": Path(plain_values.__file__).read_text(encoding="utf-8"),
    }  # fmt: skip
    box = sandbox.Box(
        kind=spec.sandbox, network=spec.network, writable=(tree, scratch),
        hidden=(*(Path(p) for p in spec.hidden), *hidden), readable=tuple(Path(p) for p in spec.readable),
        memory_mb=spec.memory_mb, file_mb=spec.file_mb,
    )  # fmt: skip
    argv = [
        spec.python,
        "-P",
        "-s",
        "-X",
        f"pycache_prefix={scratch / 'pycache'}",
        str(SCRIPT),
        str(theirs.fileno()),
    ]
    log = scratch / "bare.log"
    env = child_environment(spec, tree, scratch, 0, {})
    with log.open("wb") as output:
        process = sandbox.popen(
            box, argv, cwd=tree / spec.rootdir, env=env, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    theirs.close()
    try:
        ours.settimeout(timeout)
        ours.sendall(json.dumps(request).encode() + b"\n")
        data = _read_all(ours, timeout)
    except OSError as error:
        return {}, f"the plain process did not answer: {type(error).__name__}"
    finally:
        sandbox.kill(process)
        ours.close()
    return _told(data, nonce)


def _read_all(channel: socket.socket, timeout: float) -> bytes:
    data, limit = bytearray(), time.monotonic() + timeout
    while chunk := channel.recv(1 << 16):
        data += chunk
        channel.settimeout(max(0.1, limit - time.monotonic()))
        if len(data) > 64 << 20:
            raise OSError("too much output")
    return bytes(data)


def _told(data: bytes, nonce: str) -> tuple[dict[str, dict[str, Any]], str | None]:
    told: dict[str, dict[str, Any]] = {}
    ended = False
    for line in data.split(b"\n"):
        if not line:
            continue
        if not line.startswith(nonce.encode()):
            return told, "a line without the nonce"
        try:
            message = json.loads(line[len(nonce) :])
        except ValueError:
            return told, "a broken line"
        if message.get("end"):
            ended = True
        elif isinstance(message.get("id"), str):
            told[message["id"]] = message
    return told, None if ended else "the plain process ended before its tests did"
