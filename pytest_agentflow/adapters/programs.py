"""What does a command of the user's (a build, a further oracle) say about a tree, in the sandbox the tests run in?"""

from __future__ import annotations

import shlex
import subprocess
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from pytest_agentflow.adapters import sandbox
from pytest_agentflow.adapters.sessions import RunSpec, child_environment

OUTPUT_TAIL = 16 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """How the command ended. `exit_code` is None when it was ended for taking too long."""

    command: str
    exit_code: int | None
    output: str
    duration: float

    @property
    def agrees(self) -> bool:
        return self.exit_code == 0


def ask(spec: RunSpec, tree: Path, scratch: Path, command: str, timeout: float) -> Answer:
    """Run `command` with `tree` as its directory and the tests' environment; the command line is split, not given to a shell."""
    scratch.mkdir(parents=True, exist_ok=True)
    environment = child_environment(spec, tree, scratch, 0, {})
    box = sandbox.Box(
        kind=spec.sandbox,
        network=spec.network,
        writable=(tree, scratch),
        hidden=tuple(Path(p) for p in spec.hidden),
        readable=tuple(Path(p) for p in spec.readable),
        memory_mb=spec.memory_mb,
        file_mb=spec.file_mb,
    )
    began = time.monotonic()
    process = sandbox.popen(
        box,
        _argv(command, spec),
        cwd=tree,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    tail: deque[bytes] = deque(maxlen=OUTPUT_TAIL // 512)
    code: int | None
    try:
        output, _ = process.communicate(timeout=timeout)
        tail.append(output)
        code = process.returncode
    except subprocess.TimeoutExpired:
        code = None
    finally:
        sandbox.kill(process)
    text = b"".join(tail)[-OUTPUT_TAIL:].decode("utf-8", "replace")
    return Answer(command, code, text, time.monotonic() - began)


def _argv(command: str, spec: RunSpec) -> list[str]:
    """`python …` means the interpreter of the tests."""
    argv = shlex.split(command)
    return [spec.python, *argv[1:]] if argv and argv[0] in ("python", "python3") else argv
