"""How does a child session begin? With the channel taken and the watchers in place, before pytest itself starts.

A plugin that the project's options name, or that is the project, may import the code under test before any conftest does: it
must find neither the channel nor an unwatched moment.
"""

from __future__ import annotations

import runpy

from pytest_agentflow.child.session import open_channel

if __name__ == "__main__":
    open_channel()
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)
