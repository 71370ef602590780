"""Where does a report come from on disk?"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pytest_agentflow.adapters.journal import read_journal
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.report.building import build
from pytest_agentflow.report.model import RunReport

LOG_LIMIT = 64 * 1024  # bytes of an agent's log that a report carries: its end
PATCH_LIMIT = 1024 * 1024


def load(run: Path) -> RunReport:
    """The report of the run whose directory is `run`, finished or not."""
    return build(events(run), attempts(run))


def events(run: Path) -> list[dict[str, Any]]:
    """The journal's events, its chain checked. A torn last line, left by a killed controller, is not an event yet."""
    journal = run / "journal.jsonl"
    try:
        chain, _ = read_journal(journal)
    except OSError as error:
        raise AgentflowError(
            f"{journal} cannot be read: {error.strerror}.",
            "`agentflow show` without a run id shows the last run.",
        ) from error
    return [asdict(event) for event in chain]


def attempts(run: Path) -> dict[str, dict[str, Any]]:
    """What the attempt directories hold, by attempt id."""
    root = run / "attempts"
    if not root.is_dir():
        return {}
    return {directory.name: _attempt(directory) for directory in sorted(root.iterdir()) if directory.is_dir()}


def _attempt(directory: Path) -> dict[str, Any]:
    return {
        "attempt": _json(directory / "attempt.json"),
        "result": _json(directory / "result.json"),
        "patch": _head(directory / "patch.diff"),
        "minimised": _head(directory / "minimised" / "patch.diff"),
        "log": _tail(directory / "agent.log"),
    }


def _json(path: Path) -> Mapping[str, Any]:
    try:
        loaded = json.loads(path.read_bytes())
    except (OSError, ValueError):  # an attempt that was killed has none yet; the journal says what it was
        return {}
    return loaded if isinstance(loaded, Mapping) else {}


def _head(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            text = stream.read(PATCH_LIMIT + 1)
    except OSError:
        return ""
    cut = f"\n[cut: {path.name} is longer]\n" if len(text) > PATCH_LIMIT else ""
    return text[:PATCH_LIMIT].decode("utf-8", "replace") + cut


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - LOG_LIMIT))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return f"[{size - LOG_LIMIT} bytes before this are in {path.name}]\n{text}" if size > LOG_LIMIT else text


def from_here(path: Path) -> str:
    """A path as one would type it in the current directory."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def home(start: Path) -> Path:
    """The nearest `.agentflow` at or above `start`."""
    places = [directory / ".agentflow" for directory in (start, *start.parents)]
    found = next((place for place in places if (place / "runs").is_dir()), None)
    if found is None:
        raise AgentflowError(
            f"No .agentflow directory with runs at or above {start}.",
            "Go to the project, or start a run with `pytest --agent-fix`.",
        )
    return found


def runs(home: Path) -> list[Path]:
    """The directories of all runs, oldest first."""
    found = [path for path in (home / "runs").iterdir() if (path / "journal.jsonl").is_file()]
    return sorted(found, key=lambda path: ((path / "journal.jsonl").stat().st_mtime, path.name))


def find(start: Path, wanted: str = "") -> Path:
    """The directory of the run with this id or unambiguous beginning of an id; without one, of the last run."""
    place = home(start)
    known = runs(place)
    if not known:
        raise AgentflowError(f"{place} holds no run yet.", "Start one with `pytest --agent-fix`.")
    if not wanted:
        return known[-1]
    hits = [run for run in known if run.name == wanted] or [
        run for run in known if run.name.startswith(wanted)
    ]
    if len(hits) == 1:
        return hits[0]
    names = ", ".join(run.name for run in (hits or known)[-5:])
    problem = f"{len(hits)} runs begin with {wanted!r}" if hits else f"There is no run {wanted!r}"
    raise AgentflowError(f"{problem} in {place}.", f"{'They are' if hits else 'The latest are'}: {names}.")


def accepted_patches(run: Path, report: RunReport) -> str:
    """What the run accepted, as one patch that `git apply` takes: as delivered, else as the attempts left it."""
    delivered = sorted((run / "patches").glob("*.patch"))
    if delivered:
        return "".join(path.read_bytes().decode("utf-8", "surrogateescape") for path in delivered)
    order = [c.attempt for r in report.rounds for c in r.integrated]
    return "".join(a.patch for name in order if (a := report.attempt(name)))
