"""What each rung of the sandbox promises, tried."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_agentflow.adapters import sandbox
from pytest_agentflow.adapters.sandbox import Box
from pytest_agentflow.errors import AgentflowError

WORKS = {rung.name for rung in sandbox.ladder() if rung.works}
CONFINED = [
    pytest.param(k, marks=pytest.mark.skipif(k not in WORKS, reason=f"{k} does not work here"))
    for k in ("bwrap", "landlock")
]
ALL = [*CONFINED, "none"]


def run(
    kind: str, code: str, place: Path, *, network: bool = False, hidden: tuple[Path, ...] = (), **box: int
) -> str:
    made = Box(kind, network=network, writable=(place,), hidden=hidden, **box)  # type: ignore[arg-type]
    process = sandbox.popen(
        made,
        [sys.executable, "-c", code],
        cwd=place,
        env={"PATH": os.defpath, "EMPTY": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = process.communicate(timeout=60)
    sandbox.kill(process)
    return output.decode()


@pytest.mark.parametrize("kind", CONFINED)
def test_nothing_outside_the_workspace_can_be_written(kind: str, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    targets = [
        str(Path.home() / "canary-agentflow"),
        str(tmp_path / "canary"),
        str(Path(pytest.__file__).parent / "canary"),
        "/usr/canary",
    ]
    code = f"open('inside', 'w')\nfor p in {targets!r}:\n try: open(p, 'w'); print('wrote', p)\n except OSError: pass"
    run(kind, code, work)
    assert (work / "inside").exists()
    assert not [t for t in targets if Path(t).exists()]


@pytest.mark.parametrize("kind", CONFINED)
def test_hidden_places_and_the_environment_of_others_cannot_be_read(kind: str, tmp_path: Path) -> None:
    work, secret = tmp_path / "work", tmp_path / "repo"
    work.mkdir()
    secret.mkdir()
    (secret / "key").write_text("canary-4711")
    environ = {**os.environ, "CANARY": "canary-4711"}
    other = subprocess.Popen(["sleep", "60"], env=environ)
    try:
        code = (
            f"import glob\nfor p in [{str(secret / 'key')!r}, *glob.glob('/proc/*/environ'), '../repo/key']:\n"
            " try: print(open(p, 'rb').read())\n except OSError: pass"
        )
        assert "canary-4711" not in run(kind, code, work, hidden=(secret,))
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("kind", CONFINED)
def test_no_network_unless_opened(kind: str, tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket\ntry: socket.create_connection(('127.0.0.1', {port}), 3); print('connected')\nexcept OSError: print('refused')"
        assert "refused" in run(kind, code, tmp_path)
        assert "connected" in run(kind, code, tmp_path, network=True)


@pytest.mark.parametrize("kind", ALL)
def test_no_descendant_survives_not_even_a_daemon(kind: str, tmp_path: Path) -> None:
    mark = f"{time.time():.6f}"
    code = (
        "import os, sys, time\nif os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n"
        f"  os.execv({sys.executable!r}, ['python', '-c', 'import time; time.sleep(99)', 'mark-{mark}'])\n os._exit(0)\ntime.sleep(0.3)"
    )
    run(kind, code, tmp_path)
    assert (
        f"mark-{mark}"
        not in subprocess.run(["ps", "axww"], capture_output=True, text=True, check=True).stdout
    )


@pytest.mark.parametrize("kind", ALL)
def test_kill_ends_a_hanging_tree_of_processes(kind: str, tmp_path: Path) -> None:
    process = sandbox.popen(
        Box(kind, writable=(tmp_path,)),
        ["/bin/sh", "-c", "sleep 98.7 & sleep 98.7"],
        cwd=tmp_path,
        env={"PATH": os.defpath},
    )
    time.sleep(0.3)
    sandbox.kill(process)
    assert process.returncode != 0
    assert "98.7" not in subprocess.run(["ps", "axww"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("kind", ALL)
def test_memory_and_file_size_are_limited_and_the_exit_code_survives(kind: str, tmp_path: Path) -> None:
    code = (
        "try: bytearray(1 << 31); print('memory')\nexcept MemoryError: pass\n"
        "try:\n with open('big', 'wb') as f: f.write(bytes(3 << 20))\n print('file')\nexcept OSError: pass\nraise SystemExit(7)"
    )
    made = Box(kind, writable=(tmp_path,), memory_mb=1024, file_mb=1)
    process = sandbox.popen(made, [sys.executable, "-c", code], cwd=tmp_path, env={}, stdout=subprocess.PIPE)
    output, _ = process.communicate(timeout=60)
    sandbox.kill(process)
    assert (output, process.returncode) == (b"", 7)


@pytest.mark.parametrize("kind", ALL)
def test_the_environment_holds_what_it_was_given_and_nothing_else(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary-4711")
    told = run(kind, "import os; print(dict(os.environ), open('/proc/self/environ').read())", tmp_path)
    assert "canary-4711" not in told
    assert "'EMPTY': ''" in told


def test_auto_never_falls_to_none_and_an_unknown_rung_is_a_named_error() -> None:
    if WORKS - {"none"}:
        assert sandbox.choose("auto") in WORKS - {"none"}
    assert sandbox.choose("none") == "none"
    with pytest.raises(AgentflowError, match="no sandbox called"):
        sandbox.choose("seatbelt")
