"""Whose bytecode may a judged session use? Only that of interpreter and tools, compiled where no project code ran.

Every session has a bytecode directory of its own, so that nothing a session leaves behind is executed by the next one. That
alone would compile pytest and its plugins again each time, three quarters of a small session's cost.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
import zlib
from pathlib import Path

from pytest_agentflow.adapters import sandbox
from pytest_agentflow.adapters.installed import package_directories
from pytest_agentflow.adapters.sessions import RunSpec

_WARM = """import asyncio, unittest, unittest.mock, json, decimal, fractions, tempfile, pathlib, collections, pytest

class TestKinds(unittest.IsolatedAsyncioTestCase):
    async def test_async(self):
        self.assertEqual(1, 1)

@pytest.mark.parametrize("n", [1])
def test_parameter(n, tmp_path):
    assert n == pytest.approx(1)

def test_fails():
    with pytest.raises(ValueError):
        int("x")
    assert [1] == [2]
"""
_PLUGINS = (
    "session",
    "twins",
    "sentinels",
    "reruns",
    "peeks",
    "outliving",
    "integrity",
    "warm",
    "warm_batch",
    "forkserver",
)


def tool_bytecode(spec: RunSpec, root: Path) -> Path | None:
    """The directory for `pycache_prefix`, made once below `root` and kept for later runs; None where it could not be made.

    Python checks compiled code against its source's time and size, so a kept directory never goes stale.
    """
    place = root / f"tools-{zlib.crc32(repr((spec.python, spec.site_paths, _installed(spec))).encode()):08x}"
    if place.is_dir():
        return place
    building = root / f"building-{uuid.uuid4().hex[:8]}"
    cache, work = building / "cache", building / "work"
    try:
        work.mkdir(parents=True)
        (work / "test_warm.py").write_text(_WARM, encoding="utf-8")
        box = sandbox.Box(
            kind=spec.sandbox, writable=(building,), hidden=tuple(Path(p) for p in spec.hidden),
            readable=tuple(Path(p) for p in spec.readable),
        )  # fmt: skip
        plugins = [word for name in _PLUGINS for word in ("-p", f"pytest_agentflow.child.{name}")]
        process = sandbox.popen(
            box, [spec.python, "-P", "-s", "-X", f"pycache_prefix={cache}", "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugins, "."],
            cwd=work, env={"PATH": os.defpath, "HOME": str(work), "TMPDIR": str(work), "PYTHONPATH": os.pathsep.join(spec.site_paths)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            process.wait(120)
        finally:
            sandbox.kill(process)
        shutil.rmtree(str(cache) + str(work), ignore_errors=True)  # the warm-up's own bytecode
        cache.rename(place)
    except (OSError, subprocess.SubprocessError):
        return place if place.is_dir() else None
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return place


def _installed(spec: RunSpec) -> list[tuple[str, int]]:
    """The package directories with their times: what is installed later asks for another cache."""
    return [(str(p), p.stat().st_mtime_ns) for p in package_directories(spec)]


def lend(cache: Path | None, scratch: Path, spec: RunSpec) -> tuple[str, ...]:
    """Make `cache` the session's bytecode directory; returns what must be readable. Unconfined sessions get a copy."""
    if cache is None:
        return ()
    if spec.sandbox == "none":
        shutil.copytree(cache, scratch / "pycache")
        return ()
    (scratch / "pycache").symlink_to(cache)
    return (str(cache),)
