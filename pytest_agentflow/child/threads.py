"""Is it safe to fork here: which threads run beside this one?"""

from __future__ import annotations

import os
import threading

# Plugins of pytest start idle servers (pytest-rerunfailures beside xdist does): a fork does without them.
PLUGINS = ("pytest_", "_pytest", "xdist", "execnet")


def threads_alive() -> int:
    """Threads beside this one, also those that Python does not know; idle servers of pytest's own plugins left out."""
    try:
        tasks = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - threads started from C, too
    except OSError:
        tasks = threading.active_count()
    targets = [getattr(t, "_target", None) for t in threading.enumerate()]
    theirs = [t for t in targets if (getattr(t, "__module__", None) or "").startswith(PLUGINS)]
    return tasks - 1 - len(theirs)
