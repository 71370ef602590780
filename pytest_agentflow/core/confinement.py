"""May agents that run commands of their own work without a sandbox on this platform?"""

from __future__ import annotations

from collections.abc import Sequence

_HARMLESS = frozenset(["search"])  # tries edits and runs the project's own tests, as the user does


def why_refused(platform: str, sandbox: str, agents: Sequence[str]) -> str:
    """The reason, or nothing. `platform` is as `sys.platform`, `sandbox` as `--agent-sandbox` was given.

    Both sandboxes are Linux's: elsewhere the user must say that an agent may act unconfined.
    """
    acting = [name for name in agents if name not in _HARMLESS]
    if platform.startswith("linux") or sandbox == "none" or not acting:
        return ""
    return f"agent {acting[0]!r} runs commands of its own, and on {platform} there is no sandbox for it: bubblewrap and Landlock are Linux's"
