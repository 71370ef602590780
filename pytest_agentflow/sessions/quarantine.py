"""`--quarantine FILE` without a threshold: everything must pass but the tests on the list."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_agentflow.sessions import gate


def add_options(group: Any) -> None:
    """The gate's options are these too."""


def create(config: pytest.Config) -> object:
    """The gate at 100 percent; nothing when a threshold has already registered it."""
    return object() if config.getoption("pass_threshold", None) is not None else gate.create(config)
