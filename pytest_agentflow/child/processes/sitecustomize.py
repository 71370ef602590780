"""Found by Python processes that a recorded test starts: give way to the real module of this name, then record."""

import contextlib
import importlib
import sys
from pathlib import Path

_here = str(Path(__file__).parent)
sys.path[:] = [entry for entry in sys.path if entry != _here]
_this = sys.modules.pop("sitecustomize", None)
with contextlib.suppress(ImportError):
    importlib.import_module("sitecustomize")
if _this is not None:
    sys.modules.setdefault("sitecustomize", _this)

_root = str(Path(__file__).parents[3])
sys.path.append(_root)
# Another interpreter, perhaps: the process runs unrecorded then, as it would without us.
with contextlib.suppress(Exception):
    from pytest_agentflow.child.recorder_process import begin

    begin()
sys.path.remove(_root)
