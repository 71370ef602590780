"""Which tests outside of the user's selection fail for what seems to be the same cause?"""

from __future__ import annotations

from pytest_agentflow.core.model import Failure, Observation

MOST = 20
Place = tuple[str, str, int]  # exception, path and line of the source that raised it


def outside_alike(observation: Observation) -> tuple[str, ...]:
    """Failing tests that were not selected and raise the same exception from the same line of source as a selected one.

    What repairs the cause repairs them as well; a patch that leaves them red most likely only gets around it.
    """
    known = {place for test in observation.failing if (place := _raised(observation, test))}
    return tuple(test for test in observation.others_failing if _raised(observation, test) in known)[:MOST]


def _raised(observation: Observation, test: str) -> Place | None:
    """Nothing for what the test itself raises, such as its own assertions: those say little about the cause."""
    result = observation.results.get(test)
    failure: Failure | None = result.failure if result else None
    own = test.partition("::")[0]
    if failure is None or not failure.frames:
        return None
    last = failure.frames[-1]
    return None if last.path == own or last.path.startswith("/") else (failure.kind, last.path, last.line)
