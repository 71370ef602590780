"""What would the tests around the patch notice?"""

from __future__ import annotations

import time
from collections.abc import Iterator

from pytest_agentflow.adapters import snapshot
from pytest_agentflow.core.evidence import LayerFacts
from pytest_agentflow.core.mutants import Mutant, added_lines, mutants
from pytest_agentflow.stages.oracle.room import Room
from pytest_agentflow.stages.oracle.twins import sample

MOST = 3


def measure(room: Room) -> Iterator[LayerFacts]:
    """A mutant counts as noticed when any target or held-out test is not a plain pass any more."""
    attempt = room.attempt
    ids = sample(list(dict.fromkeys([*attempt.targets, *attempt.hidden_choose, *attempt.hidden_judge])))
    limit = time.monotonic() + max(10.0, 0.3 * room.expected_seconds(list(room.ctx.baseline)))
    told: list[dict[str, object]] = []
    for path, mutant in _mutants(room):
        if told and time.monotonic() > limit:
            break
        tree = snapshot.with_files(room.patched, {path: mutant.source.encode()})
        record = room.run(ids, tree=tree)
        noticed = bool(record.problem) or any(
            i not in record.results or record.results[i].outcome != "passed" for i in ids
        )
        told.append({"path": path, "line": mutant.line, "words": mutant.words, "killed": noticed})
    yield LayerFacts("strength", {"mutants": told})


def _mutants(room: Room) -> Iterator[tuple[str, Mutant]]:
    lines = {p: n for p, n in added_lines(room.patch.text).items() if p.endswith(".py")}
    for path, numbers in lines.items():
        try:
            made = mutants(room.text(path, base=False) or "", numbers, max(1, MOST // len(lines)))
        except SyntaxError:
            continue
        yield from ((path, m) for m in made)
