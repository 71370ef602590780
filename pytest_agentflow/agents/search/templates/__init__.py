"""Which single edits are worth trying at a node? One module per family; each yields edits, most telling name first."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from pytest_agentflow.agents.search.context import Context
from pytest_agentflow.agents.search.edits import Edit
from pytest_agentflow.agents.search.templates import (
    calls,
    conditions,
    constants,
    defaults,
    exceptions,
    guards,
    names,
    operators,
    results,
    slices,
    statements,
)

Family = Callable[[Context, ast.AST], Iterator[Edit]]

FAMILIES: dict[str, Family] = {
    "operators": operators.edits,
    "constants": constants.edits,
    "calls": calls.edits,
    "names": names.edits,
    "slices": slices.edits,
    "conditions": conditions.edits,
    "guards": guards.edits,
    "statements": statements.edits,
    "results": results.edits,
    "exceptions": exceptions.edits,
    "defaults": defaults.edits,
}
