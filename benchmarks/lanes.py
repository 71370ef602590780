"""Prints how lanes hold their bounds: never more attempts at once than lanes, never one above the cap.

python benchmarks/lanes.py [--lanes 16] [--units 1010] [--cap 1000] [--sleep 0.05]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path


def project(top: Path, units: int, sleep: float) -> None:
    """One failing test per function, and a scripted agent that sleeps and ends with an error, so that nothing is judged."""
    (top / "many.py").write_text("".join(f"def f{n}():\n    return 0\n\n\n" for n in range(units)))
    tests = "".join(f"def test_{n}():\n    assert many.f{n}() == {n + 1}\n\n\n" for n in range(units))
    (top / "test_many.py").write_text("import many\n\n\n" + tests)
    plan = top.parent / "plan.json"
    plan.write_text(json.dumps({"rules": [{"target": "*", "sleep": sleep, "outcome": "error"}]}))
    (top / "pyproject.toml").write_text(
        f'[tool.pytest.ini_options]\npythonpath = ["."]\n\n[tool.agentflow.agents.idle]\nkind = "scripted"\nplan = "{plan}"\n'
    )
    identity = ["-c", "user.name=b", "-c", "user.email=b@example.invalid"]
    for words in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "base"]):
        subprocess.run(["git", *words], cwd=top, check=True)


def at_once(events: list[dict]) -> int:
    """The most attempts that were in flight at one time, by the journal."""
    now = most = 0
    for event in events:
        now += (event["event"] == "dispatched") - (event["event"] == "verified")
        most = max(most, now)
    return most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lanes", type=int, default=16)
    parser.add_argument("--units", type=int, default=1010)
    parser.add_argument("--cap", type=int, default=1000)
    parser.add_argument("--sleep", type=float, default=0.05)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory) / "repo"
        top.mkdir()
        project(top, args.units, args.sleep)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--agent-fix",
            "--agent",
            "idle",
            "--agent-retries",
            "1",
            "--agent-triage-runs",
            "1",
        ]
        command += ["--agent-lanes", str(args.lanes), "--agent-max-attempts", str(args.cap)]
        began = time.monotonic()
        done = subprocess.run(command, cwd=top, capture_output=True, text=True, check=False)
        elapsed = time.monotonic() - began
        run = next((top / ".agentflow" / "runs").iterdir())
        events = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    dispatched = [e["data"] for e in events if e["event"] == "dispatched"]
    reported = next(e["data"] for e in events if e["event"] == "reported")
    times = [e["t"] for e in events if e["event"] in ("dispatched", "verified")]
    print(f"exit code        {done.returncode} ({reported['stop_reason']})")
    print(f"attempts made    {len(dispatched)} of {args.units} units, cap {args.cap}")
    print(f"most at once     {at_once(events)} with {args.lanes} lanes")
    workers = Counter(d["worker"] for d in dispatched)
    of_xdist = sum(n for worker, n in workers.items() if worker.startswith("gw"))
    print(f"made on          {len(workers)} workers, {of_xdist} attempts on workers of xdist")
    print(f"per worker       {min(workers.values())} to {max(workers.values())} attempts")
    print(f"made twice       {sum(n - 1 for n in Counter(d['attempt'] for d in dispatched).values())}")
    print(f"wall             {elapsed:.1f} s in all, {times[-1] - times[0]:.1f} s dispatching")


if __name__ == "__main__":
    main()
