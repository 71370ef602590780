"""By which id is a test known to the harness? As a rule by its own, relative to the top level."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from pytest_agentflow.core.outcomes import to_top_level
from pytest_agentflow.core.unsteady import stand_ins

_KNOWN_AS: dict[str, str] = {}  # of this process: id that a test has now -> id that it was listed under


def known_as(nodeid: str, rootdir: str) -> str:
    """The id under which everything is told about this test."""
    own = to_top_level(nodeid, rootdir)
    return _KNOWN_AS.get(own, own)


def recognise(items: Iterable[pytest.Item], known: Sequence[str], rootdir: str) -> dict[str, str]:
    """Tests whose ids changed since they were listed go by the ids they had from here on; returns which do."""
    _KNOWN_AS.update(stand_ins([to_top_level(i.nodeid, rootdir) for i in items], known) if known else {})
    return dict(_KNOWN_AS)
