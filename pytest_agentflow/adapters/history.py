"""Where is remembered how tests fared, so that shards and machines can be merged by copying files?

`.agentflow/history/<month>-<writer>.jsonl`: append-only, one line per run; every process writes a file of its own, so
two machines never write the same one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from uuid import uuid4

from pytest_agentflow.core.evidence import Evidence
from pytest_agentflow.core.history import PastRun, executions, letter
from pytest_agentflow.core.model import TestResult

_WRITER = uuid4().hex[:12]


def append(home: Path, tree: str, results: Mapping[str, TestResult], source: str) -> None:
    """Remember one run under `.agentflow` (`home`)."""
    write(home, PastRun(tree, time.time(), source, {t: letter(r.outcome) for t, r in results.items()}))


def append_evidence(home: Path, evidence: Evidence, source: str) -> None:
    """Remember what judging a patch saw, per tree."""
    for tree, verdicts in executions(evidence).items():
        write(home, PastRun(tree, time.time(), source, verdicts))


def write(home: Path, run: PastRun) -> None:
    verdicts: dict[str, list[str]] = {}
    for nodeid, letters in sorted(run.verdicts.items()):
        if letters:
            verdicts.setdefault(letters, []).append(nodeid)
    if not verdicts:
        return
    folder = home / "history"
    folder.mkdir(parents=True, exist_ok=True)
    line = json.dumps(
        {"v": 1, "tree": run.tree, "when": round(run.when, 3), "source": run.source, "tests": verdicts}
    )
    name = time.strftime("%Y-%m-", time.gmtime(run.when)) + f"{_WRITER}-{os.getpid()}.jsonl"
    with (folder / name).open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")


def read(home: Path) -> Iterator[PastRun]:
    """Every remembered run. A torn last line (a crash) is left out; so is the same line in two copied files."""
    seen = set()
    for path in sorted((home / "history").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line in seen:
                continue
            seen.add(line)
            run = _parse(line)
            if run is not None:
                yield run


def _parse(line: str) -> PastRun | None:
    try:
        data = json.loads(line)
        verdicts = {nodeid: letters for letters, ids in data["tests"].items() for nodeid in ids}
        return PastRun(data["tree"], float(data["when"]), data["source"], verdicts)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def merge(into: Path, others: Iterable[Path]) -> int:
    """Copy other machines' history files beside ours; the number of files that were new."""
    copied = 0
    (into / "history").mkdir(parents=True, exist_ok=True)
    for other in others:
        for path in sorted((other / "history").glob("*.jsonl")):
            target = into / "history" / path.name
            if not target.exists() or target.stat().st_size < path.stat().st_size:
                target.write_bytes(path.read_bytes())
                copied += 1
    return copied
