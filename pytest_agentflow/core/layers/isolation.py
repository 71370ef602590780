"""isolation: in what confinement was it measured, and did anything reach the files that judge?"""

from __future__ import annotations

from pytest_agentflow.core.layers.base import Facts, Judged, failed, na, ok, some
from pytest_agentflow.core.model import VerdictKind

NAME = "isolation"


def judge(facts: Facts) -> Judged:
    if facts["touched"]:
        return failed(
            NAME,
            VerdictKind.TAMPERED,
            f"the session wrote to files that decide the verdict: {some(facts['touched'])}",
        )
    if facts["foreign"]:
        return failed(
            NAME,
            VerdictKind.ERRORED,
            f"project code was imported from outside the workspace: {some(facts['foreign'])}",
        )
    if facts["altered"]:
        return failed(
            NAME,
            VerdictKind.TAMPERED,
            f"the tools that judge are not what was installed: {some(facts['altered'])}; install them anew",
        )
    network = "network open by option" if facts["network"] else "no network"
    if facts["sandbox"] == "none":
        return na(NAME, f"no sandbox, by explicit choice; {network} not enforced")
    return ok(
        NAME, f"{facts['sandbox']}, {network}, environment from scratch, results over a private channel"
    )
