"""In what confinement does project code run, which rungs work on this machine, and how is all of it ended?"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_agentflow
from pytest_agentflow.adapters import landlock
from pytest_agentflow.adapters.layout import without_randomisation
from pytest_agentflow.errors import AgentflowError

# Shared places where other attempts, other users' files and control sockets live: empty inside.
_SHARED = ("/tmp", "/var/tmp", "/run", "/dev/shm")
_SECRET_IN_HOME = (
    ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".netrc", ".pypirc", ".npmrc", ".git-credentials",
    ".gitconfig", ".config/gcloud", ".config/gh", ".config/anthropic", ".config/git", ".anthropic", ".claude",
    ".claude.json", ".codex", ".gemini", ".local/share/keyrings", ".bash_history", ".python_history", ".cache/pip",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Box:
    """What one confined process may do. Paths are absolute; the deeper path wins over the one around it."""

    kind: str  # "bwrap", "landlock" or "none"
    network: bool = False
    writable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()  # readable though inside something hidden, such as a virtual environment
    binds: tuple[
        tuple[Path, Path], ...
    ] = ()  # (directory, path inside at which it can be written too): bwrap only
    memory_mb: int = 4096
    file_mb: int = 512
    processes: int = 512
    cpu_s: int | None = None
    fixed_layout: bool = False  # objects lie at the same addresses in every box, where the kernel lets us


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the ladder, for people: does it work here, what does it promise and what not."""

    name: str
    works: bool
    why: str
    guarantees: str
    lacks: str
    advice: str = ""


class Boxed(subprocess.Popen[bytes]):
    """A started box. `init_pid_fd` tells the outer pid of the namespace's init, whose end is the end of everything inside."""

    init_pid_fd: int = -1
    kind: str = "none"


# the ladder --------------------------------------------------------------------------------------


@functools.cache
def ladder() -> tuple[Rung, ...]:
    """Every rung, strongest first, tried here and now."""
    return (_bwrap_rung(), _landlock_rung(), _none_rung())


def choose(name: str) -> str:
    """The rung that will run for `auto`, or the named one; raises where it does not work. `auto` never falls to `none`."""
    rungs = {rung.name: rung for rung in ladder()}
    if name == "auto":
        for rung in ladder():
            if rung.works and rung.name != "none":
                return rung.name
        raise AgentflowError(
            "No sandbox works on this machine: "
            + "; ".join(f"{rung.name}: {rung.why}" for rung in ladder() if not rung.works),
            "Run `agentflow doctor` for what to do, or pass --agent-sandbox none to run project code unconfined.",
        )
    if name not in rungs:
        raise AgentflowError(f"There is no sandbox called {name!r}.", "Use auto, bwrap, landlock or none.")
    if not rungs[name].works:
        raise AgentflowError(f"The sandbox {name} does not work here: {rungs[name].why}", rungs[name].advice)
    return name


def _bwrap_rung() -> Rung:
    why, works = "bwrap is not installed", False
    advice = "Install bubblewrap (`apt install bubblewrap`)."
    if shutil.which("bwrap"):
        why, works = _try("bwrap")
        advice = (
            ""
            if works
            else "Where user namespaces are restricted (Ubuntu 24.04): "
            "`sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`. In a container: allow user namespaces."
        )
    return Rung(
        "bwrap",
        works,
        why,
        "own mount, pid, network, ipc and host-name namespaces: read-only root, empty /tmp and /run, no network (loopback of its "
        "own), no view of other processes, and the kernel ends all of it at once",
        "the kernel is shared; a limit on the number of processes does not bind root",
        advice,
    )


def _landlock_rung() -> Rung:
    version = landlock.abi()
    why, works = ("this kernel has no Landlock (Linux 5.13 or newer is needed)", False)
    if version:
        why, works = _try("landlock")
        why = f"ABI {version}; {why}"
    return Rung(
        "landlock",
        works,
        why,
        "unprivileged: writes only to the workspace, hidden places unreadable, no ptrace or /proc of processes outside"
        + (", no TCP connections" if version >= 4 else "")
        + (", no signals to processes outside" if version >= 6 else ""),
        "names and sizes in hidden places can be seen (stat); UDP and unix sockets by path are open; no TCP connections means none to loopback either; binding a port is open"
        + ("" if version >= 4 else "; TCP is open on this kernel"),
        "" if works else "Use a kernel with CONFIG_SECURITY_LANDLOCK and `landlock` in the `lsm=` list.",
    )


def _none_rung() -> Rung:
    return Rung(
        "none",
        os.name == "posix",
        "resource limits and process supervision only",
        "a scratch HOME and TMPDIR, an environment from scratch, time and memory limits, every descendant ended",
        "no confinement: project code can read and write what you can, and use the network",
        "Only by --agent-sandbox none.",
    )


def _try(kind: str) -> tuple[str, bool]:
    with tempfile.TemporaryDirectory(prefix="agentflow-probe-") as directory:
        place = Path(directory)
        box = Box(kind, writable=(place,))
        script = f"echo ok > {place}/ok && ! echo bad 2>/dev/null > {place.parent}/agentflow-probe-outside"
        try:
            process = popen(
                box, ["/bin/sh", "-c", script], cwd=place, env={"PATH": os.defpath},
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            output, _ = process.communicate(timeout=20)
        except (OSError, subprocess.SubprocessError) as error:
            return str(error), False
        kill(process)
        if process.returncode == 0 or (kind == "bwrap" and (place / "ok").exists()):
            return "works", True
        return output.decode("utf-8", "replace").strip()[-300:] or f"exit code {process.returncode}", False


# starting ----------------------------------------------------------------------------------------


def popen(
    box: Box,
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    pass_fds: Sequence[int] = (),
    stdin: Any = subprocess.DEVNULL,
    stdout: Any = None,
    stderr: Any = None,
) -> Boxed:
    """Start `argv` in the box, in a session of its own. End it with `kill`, also after it ended by itself."""
    start = _popen_bwrap if box.kind == "bwrap" else _popen_supervised
    streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
    return start(box, list(argv), cwd, dict(env), tuple(pass_fds), streams)


def hidden_paths(box: Box) -> list[Path]:
    """What the box hides: what it was told, shared places, and where credentials usually lie."""
    home = Path.home()
    places = [
        *box.hidden,
        *map(Path, _SHARED),
        Path(tempfile.gettempdir()),
        *(home / s for s in _SECRET_IN_HOME),
    ]
    return [place for place in dict.fromkeys(_real(p) for p in places) if place.exists()]


def readable_paths(box: Box, argv: Sequence[str]) -> list[Path]:
    """What stays readable inside hidden places: what the box says, the interpreter's environment and this package."""
    found = [*box.readable, Path(pytest_agentflow.__file__).parent, *_interpreter(argv[0])]
    return [p for p in dict.fromkeys(_real(p) for p in found) if p.exists()]


def _interpreter(program: str) -> Iterable[Path]:
    """The virtual environment around a program, the installation behind it, and ours."""
    for start in (Path(program), Path(sys.executable)):
        if start.is_absolute():
            for place in (start.parent.parent, _real(start).parent.parent):
                if (place / "pyvenv.cfg").is_file() or (place / "lib").is_dir():
                    yield place
    yield from (Path(sys.prefix), Path(sys.base_prefix))


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _popen_bwrap(
    box: Box, argv: list[str], cwd: Path, env: dict[str, str], fds: tuple[int, ...], streams: dict[str, Any]
) -> Boxed:
    options = [
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
    ]
    if box.network:
        options.append("--share-net")
    options += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", *_mounts(box, argv)]
    options += ["--chdir", str(_real(cwd)), "--clearenv"]
    for name, value in env.items():
        options += ["--setenv", name, value]
    ours, theirs = os.pipe()
    arguments = _in_memory("".join(f"{o}\0" for o in options).encode())
    prlimit = shutil.which("prlimit")
    limits = [prlimit, *(f"--{n.lower()}={v}" for n, v in _limits(box).items()), "--"] if prlimit else []
    command = [
        *_layout(box),
        _bwrap(),
        "--args",
        str(arguments),
        "--info-fd",
        str(theirs),
        "--",
        *limits,
        *argv,
    ]
    try:
        # An empty environment: /proc/1/environ inside is bwrap's own.
        process = Boxed(
            command, cwd="/", env={}, pass_fds=(*fds, arguments, theirs), start_new_session=True, **streams
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(arguments)
        os.close(theirs)
    process.init_pid_fd, process.kind = ours, "bwrap"
    return process


def _layout(box: Box) -> tuple[str, ...]:
    return without_randomisation() if box.fixed_layout else ()


def _bwrap() -> str:
    found = shutil.which("bwrap")
    if found is None:
        raise AgentflowError("bwrap is not installed.", "Install bubblewrap, or use --agent-sandbox auto.")
    return found


def _in_memory(data: bytes) -> int:
    """An inheritable descriptor to `data`: a command line would show it to every user of the machine."""
    descriptor = os.memfd_create("agentflow-args", 0)
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _mounts(box: Box, argv: Sequence[str]) -> list[str]:
    """Mount operations, outermost first, so that the deeper path wins."""
    plan: dict[Path, str] = dict.fromkeys(hidden_paths(box), "hide")
    sources = {_real(inside): _real(source) for source, inside in box.binds}
    plan |= {
        place.parent: "hide" for place in sources if not place.exists()
    }  # a mount point can be made there
    plan |= dict.fromkeys(sources, "rw")
    plan |= dict.fromkeys(_inside(box, sources), "hide")
    plan |= dict.fromkeys(readable_paths(box, argv), "ro")
    plan |= {_real(place): "rw" for place in box.writable}
    options: list[str] = []
    for place in sorted(plan, key=lambda p: (len(p.parts), str(p))):
        if plan[place] == "hide":
            is_file = place.is_file() or place.suffix == ".py"
            options += ["--ro-bind", "/dev/null", str(place)] if is_file else ["--tmpfs", str(place)]
        else:
            options += [
                "--bind" if plan[place] == "rw" else "--ro-bind",
                str(sources.get(place, place)),
                str(place),
            ]
    return options


def _inside(box: Box, sources: Mapping[Path, Path]) -> list[Path]:
    """Hidden places below a bound directory: outside the box they need not exist."""
    return [place for place in box.hidden for bound in sources if bound in place.parents]


def _limits(box: Box) -> dict[str, int]:
    limits = {"AS": box.memory_mb << 20, "FSIZE": box.file_mb << 20, "CORE": 0}
    if box.kind == "bwrap" and os.getuid() != 0:
        limits["NPROC"] = (
            box.processes
        )  # counted per user namespace; elsewhere the user's other processes would count too
    if box.cpu_s is not None:
        limits["CPU"] = box.cpu_s
    return limits


def _popen_supervised(
    box: Box, argv: list[str], cwd: Path, env: dict[str, str], fds: tuple[int, ...], streams: dict[str, Any]
) -> Boxed:
    plan = {
        "landlock": box.kind == "landlock",
        "network": box.network,
        "writable": [str(_real(p)) for p in box.writable],
        "readable": [str(p) for p in readable_paths(box, argv)],
        "hidden": [str(p) for p in hidden_paths(box)] if box.kind == "landlock" else [],
        "limits": _limits(box),
        "fds": list(fds),
    }
    command = [*_layout(box), sys.executable, "-I", "-S", landlock.__file__, json.dumps(plan), *argv]
    process = Boxed(command, cwd=cwd, env=env, pass_fds=fds, start_new_session=True, **streams)
    process.kind = box.kind
    return process


# ending ------------------------------------------------------------------------------------------


def kill(process: subprocess.Popen[bytes]) -> None:
    """End everything that was started in the box and wait until it is gone."""
    if isinstance(process, Boxed) and process.kind != "bwrap" and process.poll() is None:
        process.terminate()  # the supervisor ends its descendants, also those that left the group
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if isinstance(process, Boxed) and process.init_pid_fd >= 0:
        _wait_for_init(process.init_pid_fd)
        process.init_pid_fd = -1


def _wait_for_init(descriptor: int) -> None:
    """The namespace is gone when its init is: the kernel ends every process in it first."""
    with os.fdopen(descriptor, "rb") as stream:
        text = stream.read()
    with contextlib.suppress(ValueError, KeyError, OSError):
        import select

        handle = os.pidfd_open(json.loads(text)["child-pid"])
        try:
            select.select([handle], [], [], 5)
        finally:
            os.close(handle)
