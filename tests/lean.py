"""What makes the sessions that tests start cheap: most of them run suites of a few milliseconds."""

from __future__ import annotations

from dataclasses import replace

from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.adapters.toolcache import tool_bytecode
from pytest_agentflow.adapters.workspaces import base_directory

# Plugins of the development environment: their import takes longer than such a suite.
OPTIONS = ("-p", "no:hypothesispytest", "-p", "no:asyncio", "-p", "no:anyio")
ADDOPTS = " ".join(OPTIONS)


def lent(spec: RunSpec) -> RunSpec:
    """With the tools' bytecode, as in a run of the product."""
    return replace(spec, bytecode=str(tool_bytecode(spec, base_directory()) or ""))
