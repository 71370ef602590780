"""Which further oracles did the user ask for?"""

from __future__ import annotations

from typing import Any

from pytest_agentflow.agents import registry
from pytest_agentflow.settings import Settings

BUILD_NAME = "the build"


def further_commands(settings: Settings) -> tuple[tuple[str, str], ...]:
    """The build, then the commands among `--agent-oracle`."""
    build = ((BUILD_NAME, settings.agent_build),) if settings.agent_build else ()
    return (*build, *((name, name) for name in settings.agent_oracle if not _is_callable(name)))


def further_oracles(settings: Settings, plugins: Any) -> tuple[Any, ...]:
    """Oracles of plugins, and those named as `module:callable`."""
    given = [found for found in plugins.hook.pytest_agentflow_oracles(settings=settings) if found is not None]
    flat = [o for found in given for o in (found if isinstance(found, list | tuple) else [found])]
    named = [registry.load(name, name)() for name in settings.agent_oracle if _is_callable(name)]
    return (*flat, *named)


def _is_callable(name: str) -> bool:
    module, colon, attribute = name.partition(":")
    return bool(colon) and module.replace(".", "").isidentifier() and attribute.isidentifier()
