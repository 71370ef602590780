"""Where do this project's runs live, which one is meant, and who works there now?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_agentflow.adapters.repository import Repository
from pytest_agentflow.errors import AgentflowError


def agentflow_home(rootdir: Path, repository: Repository) -> Path:
    """`.agentflow` under the rootdir (under the top level when the rootdir lies above it); it ignores itself."""
    place = rootdir if rootdir.is_relative_to(repository.top) else repository.top
    home = place / ".agentflow"
    home.mkdir(exist_ok=True)
    ignore = home / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return home


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """One run at a time in a home. Raises AgentflowError while another one works."""
    lock = FileLock(str(home / "lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise AgentflowError(
            f"Another run works in {home}.", "Wait for it, or stop it; `agentflow show` tells which one."
        ) from None
    try:
        yield
    finally:
        lock.release()


def find_run(home: Path, wanted: str) -> Path:
    """The directory of a run: the named one, or the last."""
    runs = sorted(p for p in (home / "runs").glob("*") if (p / "journal.jsonl").exists())
    if wanted:
        runs = [p for p in runs if p.name == wanted]
    if not runs:
        raise AgentflowError(
            f"There is no run {wanted or 'to resume'} in {home}.", "`agentflow show --list` lists the runs."
        )
    return runs[-1]
