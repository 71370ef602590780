"""Where there is no sandbox, an agent that acts by itself needs the user's explicit word."""

from __future__ import annotations

import pytest

from pytest_agentflow.core.confinement import why_refused


@pytest.mark.parametrize(
    ("platform", "sandbox", "agents", "refused"),
    [
        ("linux", "auto", ["search", "anthropic"], False),
        ("darwin", "auto", ["search"], False),
        ("darwin", "auto", ["search", "anthropic"], True),
        ("win32", "auto", ["claude"], True),
        ("win32", "none", ["claude"], False),
    ],
)
def test_elsewhere_than_on_linux_acting_unconfined_must_be_said(
    platform: str, sandbox: str, agents: list[str], refused: bool
) -> None:
    why = why_refused(platform, sandbox, agents)
    assert bool(why) is refused
    assert not refused or (platform in why and agents[-1] in why)
