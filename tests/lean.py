"""What makes the sessions that tests start cheap: most of them run suites of a few milliseconds."""

from __future__ import annotations

import os
import sys
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


def plain(**more: object) -> RunSpec:
    """A project whose sources lie at the top, run by this interpreter."""
    values: dict[str, object] = {
        "python": sys.executable,
        "import_roots": (".",),
        "pytest_args": ("-p", "no:cacheprovider", "-p", "no:randomly"),
        "env": {"PATH": os.environ["PATH"]},
    }
    return RunSpec(**{**values, **more})  # type: ignore[arg-type]
