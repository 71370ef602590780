"""Objects lie where they lay in the session before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_agentflow.adapters import sandbox
from pytest_agentflow.adapters.layout import without_randomisation


@pytest.mark.skipif(not without_randomisation(), reason="the kernel or its guardian refuses setarch -R here")
def test_addresses_are_the_same_in_every_box_that_asks_for_it(tmp_path: Path) -> None:
    def address() -> bytes:
        box = sandbox.Box(sandbox.choose("auto"), writable=(tmp_path,), fixed_layout=True)
        command = [sys.executable, "-I", "-S", "-c", "print(id(None))"]
        process = sandbox.popen(box, command, cwd=tmp_path, env={}, stdout=subprocess.PIPE)
        output, _ = process.communicate(timeout=60)
        sandbox.kill(process)
        return output

    found = {address() for _ in range(3)}
    assert len(found) == 1 and found != {b""}
