"""Reports of the sample journals, built once per session."""

from __future__ import annotations

import pytest
from report_journals import repaired, wide

from pytest_agentflow.report.building import build
from pytest_agentflow.report.model import RunReport


@pytest.fixture(scope="session")
def report() -> RunReport:
    return build(*repaired())


@pytest.fixture(scope="session")
def interrupted() -> RunReport:
    return build(*repaired(finished=False))


@pytest.fixture(scope="session")
def wide_report() -> RunReport:
    return build(*wide(300, 16))
