"""Is it the suite itself in which ids change, or did a patch make tests go away and others take their place?"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from pytest_agentflow.core.model import SessionRecord
from pytest_agentflow.core.unsteady import withdrawn

# (ids, hash seed) -> a session on a tree whose tests are known, under the names it gives them itself
RunThere = Callable[[Sequence[str], int], SessionRecord]
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{4,}")
_GONE: dict[tuple[str, int], set[str]] = {}  # by tree and hash seed: known ids that it was seen to lack


def believed(record: SessionRecord, tree: str, hash_seed: int, run_there: RunThere) -> SessionRecord:
    """The record in which only those tests stand for others whose ids are not on `tree` either when it is asked again.

    It is asked under the same hash seed, so that ids which follow the seed are no excuse. Under hash seed 0 objects lie where
    they lay, unless a patch moved them: for ids that hold an address another seed, which leaves that to chance, is asked too.
    """
    doubted = set(record.renamed.values())
    doubted -= _lacking(doubted, tree, hash_seed, run_there)
    doubted -= _lacking({i for i in doubted if _ADDRESS.search(i)}, tree, hash_seed + 1, run_there)
    return withdrawn(record, doubted) if doubted else record


def _lacking(ids: Collection[str], tree: str, hash_seed: int, run_there: RunThere) -> set[str]:
    """Those that the tree lacks; none where its session says nothing. What it lacked once is remembered."""
    gone = _GONE.setdefault((tree, hash_seed), set())
    asked = sorted(set(ids) - gone)
    if asked:
        record = run_there(asked, hash_seed)
        if record.problem is None and not record.collect_errors:
            gone |= set(asked) - set(record.collected)
    return gone & set(ids)
