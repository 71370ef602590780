"""What may a patch touch in this project?"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.core.scope import ScopePolicy
from pytest_agentflow.settings import Settings
from pytest_agentflow.stages.run import Run


def scope_of(run: Run) -> ScopePolicy:
    """The run's policy: the user's globs, or everything under the import roots minus the protected list."""
    return policy(run.settings, run.spec, run.base.protected)


def policy(settings: Settings, spec: RunSpec, protected: Sequence[str]) -> ScopePolicy:
    """The same from recorded settings, so that a verdict can be executed again later."""
    globs = settings.agent_scope or tuple(
        f"{root}/**" if root != "." else "**" for root in spec.import_roots or (".",)
    )
    return ScopePolicy(globs=tuple(globs), protected=tuple(f"{p}/**" for p in protected))
