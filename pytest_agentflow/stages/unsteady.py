"""Is it the suite itself in which ids change, or did a patch make tests go away and others take their place?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from pytest_agentflow.core.model import SessionRecord
from pytest_agentflow.core.unsteady import withdrawn

# (ids, hash seed) -> a session on a tree whose tests are known, under the names it gives them itself
RunThere = Callable[[Sequence[str], int], SessionRecord]
_LAYOUT = 1  # of objects in memory: left to chance under any hash seed but 0
_GONE: dict[str, set[str]] = {}  # by tree: known ids that the tree was seen to lack


def believed(record: SessionRecord, tree: str, hash_seed: int, run_there: RunThere) -> SessionRecord:
    """The record in which only those tests stand for others whose ids are not on `tree` either when it is asked again.

    It is asked under the same hash seed first, then under another one: addresses in ids are the same from session to
    session of one tree, and not from tree to tree. What it lacked once is remembered.
    """
    gone = _GONE.setdefault(tree, set())
    doubted = set(record.renamed.values()) - gone
    for seed in (hash_seed, hash_seed + _LAYOUT):
        if doubted:
            gone |= _lacking(run_there(sorted(doubted), seed), doubted)
            doubted -= gone
    return withdrawn(record, doubted) if doubted else record


def _lacking(record: SessionRecord, ids: Collection[str]) -> set[str]:
    """None where the session says nothing."""
    silent = record.problem is not None or record.collect_errors
    return set() if silent else set(ids) - set(record.collected)
