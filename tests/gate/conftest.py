from __future__ import annotations

import pytest
from gate_helpers import Bench


@pytest.fixture
def bench(tmp_path, monkeypatch, capsys) -> Bench:
    """The gate in an empty folder, away from any CI's environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    return Bench(tmp_path, capsys)
