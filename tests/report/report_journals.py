"""Journals for the rendering tests: the format of a real run, with contents chosen to be awkward."""

from __future__ import annotations

from typing import Any

T0 = 1_800_000_000.0
HOSTILE = (
    "tests/test_markup.py::test_x[</script><img src=x onerror=alert(1)>|`a`|\x1b[31mred\x1b[0m\u202eevil]"
)


class Journal:
    """Collects events as the controller would write them."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def say(self, t: float, event: str, **data: Any) -> Journal:
        n = len(self.events)
        self.events.append(
            {"n": n, "t": T0 + t, "event": event, "data": data, "prev": f"{n:064x}", "hash": f"{n + 1:064x}"}
        )
        return self


def finding(layer: str, status: str, reason: str) -> dict[str, str]:
    return {"layer": layer, "status": status, "reason": reason}


GOOD = [
    finding("scope", "ok", "1 file, inside the import roots"),
    finding("census", "ok", "66 of 66 node ids reported"),
    finding("targets", "ok", "2 of 2 flipped"),
    finding("guards", "ok", "58 of 58 still pass"),
    finding("twins", "n/a", "no negatable assert"),
    finding("held-out", "ok", "3 of 3 pass"),
]
SPEND = {"seconds": 4.2, "cpu": 3.9}


def repaired(*, finished: bool = True) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Two rounds: one fix, one weak fix, a contradiction, a flaky test, a refused patch, a lost attempt."""
    t = "tests/test_tax.py::test_rate", "tests/test_tax.py::test_total", "tests/test_dates.py::test_due"
    stuck, against, flaky = (
        "tests/test_io.py::test_read",
        "tests/test_spec.py::test_says_other",
        "tests/test_net.py::test_poll",
    )
    failing = [*t, stuck, against, flaky, HOSTILE]
    j = Journal()
    j.say(0, "started", version="0.1.0", run="20261121-0145-k3", settings={"agent": "auto", "lanes": 2},
          repository={"top": "shop", "head": "3f1c9a7", "dirty": True}, base="9d0e" * 10, python="3.11.7",
          sandbox="bwrap", argv=["pytest", "--agent-fix", "tests/"])  # fmt: skip
    j.say(3, "observed", round=1, tree="a" * 40, collected=66, selected=66, counts={"passed": 59, "failed": 7},
          pass_rate=[59, 66], failing=failing, duration=2.8, coverage="coverage/1")  # fmt: skip
    j.say(6, "triaged", round=1, targets=[*failing[:5], HOSTILE], set_aside=[],
          flaky=[{"nodeid": flaky, "why": "2 of 5 reruns passed on unchanged code", "evidence": {"seed": 3}}])  # fmt: skip
    suspect = {"path": "src/shop/tax.py", "qualname": "rate_for", "first_line": 12, "last_line": 20, "score": 0.93, "lines": [14], "why": "2 of 2 failing, 1 of 30 passing"}  # fmt: skip
    clusters = [{"id": f"u{i}", "targets": list(targets), "suspects": [suspect]} for i, targets in enumerate([t[:2], t[2:], [stuck], [against], [HOSTILE]], 1)]  # fmt: skip
    j.say(7, "localised", round=1, clusters=clusters)
    plans = [{"id": f"r1-a{i}", "cluster": f"u{i}", "agent": "search", "visible": clusters[i - 1]["targets"][:1], "retry": 0} for i in range(1, 6)]  # fmt: skip
    j.say(
        7.2,
        "planned",
        round=1,
        attempts=plans,
        questions={"verifiable": {"share": 0.94}, "verdict": "worth a run"},
    )
    verdicts = [
        ("plausible", "every layer that applies holds", GOOD, "src/shop/tax.py"),
        ("weak", "one target, nothing held out", [*GOOD[:4], finding("held-out", "weak", "a single target")], "src/shop/dates.py"),
        ("regressed", "tests/test_io.py::test_write turned red", [*GOOD[:3], finding("guards", "failed", "1 of 58 turned red")], "src/shop/io.py"),
        ("contradiction", "test expects 3, the docstring of `spec` and 2 other tests say 4", [], ""),
    ]  # fmt: skip
    for i, (verdict, reason, findings, path) in enumerate(verdicts, 1):
        start = 8 + 3 * ((i - 1) // 2)
        j.say(
            start,
            "dispatched",
            attempt=f"r1-a{i}",
            lane=(i - 1) % 2,
            agent="search",
            worker=f"gw{(i - 1) % 2}",
        )
        j.say(start + 1, "agent", attempt=f"r1-a{i}", kind="candidate")
        j.say(start + 2 + i / 10, "verified", attempt=f"r1-a{i}", verdict=verdict, reason=reason, findings=findings,
              spend=SPEND, patch_paths=[path] if path else [], lines_changed=2 if path else 0)  # fmt: skip
    j.say(14, "dispatched", attempt="r1-a5", lane=0, agent="search", worker="gw0")
    attempts = {f"r1-a{i}": _directory(i, clusters, path) for i, (_, _, _, path) in enumerate(verdicts, 1)}
    if not finished:
        j.say(
            20,
            "reported",
            exit_code=2,
            stop_reason="interrupted (SIGINT)",
            before=[59, 66],
            after=[59, 66],
            delivered={},
        )
        return j.events, attempts
    j.say(16, "verified", attempt="r1-a5", verdict="lost", reason="the lane's process died", findings=[], spend={}, patch_paths=[], lines_changed=0)  # fmt: skip
    commits = [{"attempt": "r1-a1", "tree": "c1" * 20, "targets": list(t[:2]), "verdict": "plausible"}, {"attempt": "r1-a2", "tree": "c2" * 20, "targets": [t[2]], "verdict": "weak"}]  # fmt: skip
    j.say(18, "integrated", round=1, commits=commits, refused=[], tree="b" * 40)
    j.say(21, "observed", round=2, tree="b" * 40, collected=66, selected=66, counts={"passed": 62, "failed": 4},
          pass_rate=[62, 66], failing=[stuck, against, flaky, HOSTILE], duration=2.6, coverage="coverage/2")  # fmt: skip
    j.say(22, "reported", exit_code=1, stop_reason="stagnated: the same failures as in the round before",
          before=[59, 66], after=[62, 66],
          delivered={"how": "tree", "branch": "agentflow/20261121-0145-k3", "files": ["src/shop/tax.py", "src/shop/dates.py"], "reason": ""})  # fmt: skip
    return j.events, attempts


def _directory(i: int, clusters: list[dict[str, Any]], path: str) -> dict[str, Any]:
    targets = clusters[i - 1]["targets"]
    patch = f"""diff --git a/{path} b/{path}
--- a/{path}
+++ b/{path}
@@ -12,4 +12,4 @@ def rate_for(net):
     # the reduced rate ends at 100, ``inclusive`` & <b>bold</b>
-    if net < 100:
+    if net <= 100:
         return REDUCED
--- not a header, a removed line of dashes
"""
    return {
        "attempt": {"id": f"r1-a{i}", "round": 1, "visible": targets[:1], "hidden_choose": [], "hidden_judge": targets[1:], "guards": []},
        "result": {"message": "changed `<` to `<=` in rate_for"},
        "patch": patch if path else "",
        "log": "tried 14 candidates\n\x1b[32mok\x1b[0m <script>alert(1)</script>\n",
    }  # fmt: skip


def wide(attempts: int, lanes: int) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """A run with many attempts in flight, round by round up to 100 %."""
    j = Journal().say(
        0,
        "started",
        version="0.1.0",
        run="wide",
        argv=["pytest", "--agent-fix", "-n", str(lanes)],
        sandbox="bwrap",
    )
    ids = [f"tests/test_m{i % 40}.py::test_case[{i}]" for i in range(attempts)]
    kinds = ["plausible", "plausible", "weak", "unfixed", "no_patch", "timed_out", "overfit"]
    j.say(10, "observed", round=1, tree="a", collected=60_000, selected=60_000, counts={}, pass_rate=[60_000 - attempts, 60_000], failing=ids, duration=9)  # fmt: skip
    j.say(
        11,
        "localised",
        round=1,
        clusters=[{"id": f"u{i}", "targets": [n], "suspects": []} for i, n in enumerate(ids)],
    )
    j.say(12, "planned", round=1, attempts=[{"id": f"r1-a{i}", "cluster": f"u{i}", "agent": "scripted", "visible": [n], "retry": 0} for i, n in enumerate(ids)])  # fmt: skip
    free = [12.0] * lanes
    commits = []
    for i, nodeid in enumerate(ids):
        lane = min(range(lanes), key=free.__getitem__)
        verdict = kinds[(i * 5 + i // 3) % len(kinds)]
        length = 2 + (i * 37 % 11)
        j.say(free[lane], "dispatched", attempt=f"r1-a{i}", lane=lane, agent="scripted", worker=f"gw{lane}")
        free[lane] += length
        j.say(free[lane], "verified", attempt=f"r1-a{i}", verdict=verdict, reason="as scripted", findings=GOOD, spend={"seconds": length, "cpu": 1, "usd": 0.01, "calls": 3, "input_tokens": 9000, "output_tokens": 800}, patch_paths=["src/m.py"], lines_changed=3)  # fmt: skip
        if verdict in ("plausible", "weak"):
            commits.append(
                {"attempt": f"r1-a{i}", "tree": f"{i:040x}", "targets": [nodeid], "verdict": verdict}
            )
    end = max(free)
    j.say(end + 5, "integrated", round=1, commits=commits, refused=[], tree="c")
    left = [n for n in ids if n not in {t for c in commits for t in c["targets"]}]
    j.say(end + 9, "observed", round=2, tree="c", collected=60_000, selected=60_000, counts={}, pass_rate=[60_000 - len(left), 60_000], failing=left, duration=9)  # fmt: skip
    j.say(end + 10, "reported", exit_code=1, stop_reason="rounds: 1 of 1", before=[60_000 - attempts, 60_000], after=[60_000 - len(left), 60_000], delivered={"how": "tree", "branch": "agentflow/wide", "files": ["src/m.py"], "reason": ""})  # fmt: skip
    return j.events, {}
