"""guards: does everything that passed before still pass?"""

from __future__ import annotations

from pytest_agentflow.core.layers.base import Facts, Judged, failed, ok, some
from pytest_agentflow.core.model import VerdictKind

NAME = "guards"


def judge(facts: Facts) -> Judged:
    """`red` are guards red on the patched tree; `again` and `base` their outcomes when repeated there and on the base."""
    excused, broken, shaky = [], [], []
    for nodeid in facts["red"]:
        again, base = facts["again"].get(nodeid, []), facts["base"].get(nodeid, [])
        if not base or any(o != "passed" for o in base):
            excused.append(nodeid)
        elif any(o == "passed" for o in again):
            shaky.append(nodeid)
        else:
            broken.append(nodeid)
    if broken:
        return failed(
            NAME,
            VerdictKind.REGRESSED,
            f"{len(broken)} passed before and fail now: {some(broken)}",
            broken=broken,
        )
    if shaky:
        return failed(
            NAME, VerdictKind.FLAKY, f"passed before and fails now and then: {some(shaky)}", shaky=shaky
        )
    note = f"; {len(excused)} not counted, red on the unchanged code too: {some(excused)}" if excused else ""
    return ok(
        NAME,
        f"{facts['count'] - len(excused)} tests that passed still pass ({facts['extent']}){note}",
        excused=excused,
    )
