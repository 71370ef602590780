"""Can objects lie at the same addresses in every session?

What has no hash of its own is hashed by its address, so the order of a set, and with it the names of parametrised tests, would
change from run to run whatever PYTHONHASHSEED says.
"""

from __future__ import annotations

import functools
import shutil
import subprocess


@functools.cache
def without_randomisation() -> tuple[str, ...]:
    """The words before a command that switch the kernel's address randomisation off for it; none where that is refused."""
    tool = shutil.which("setarch")
    if tool is None:
        return ()
    try:
        done = subprocess.run([tool, "-R", "true"], capture_output=True, check=False, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ()
    return (tool, "-R") if done.returncode == 0 else ()
