"""What does the installed plugin cost a session that does not use it? Promise: < 30 ms to import, and no change.

Run: python benchmarks/import_cost.py [--runs 21]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

IMPORT = """
import time, pytest, _pytest.config
began = time.perf_counter()
import pytest_agentflow.plugin
print((time.perf_counter() - began) * 1000)
import sys
heavy = {"anthropic", "rich", "jinja2", "git", "coverage", "genai_prices", "junitparser", "unidiff"} & set(sys.modules)
print(",".join(sorted(heavy)))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=21)
    runs = parser.parse_args().runs
    times, heavy = import_times(runs)
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory)
        (top / "test_one.py").write_text("def test_one(): pass\n")
        sessions = {"without": [], "with": []}
        outputs = {}
        for _ in range(runs):  # interleaved, so that a busy machine is busy for both
            for name, options in (("without", ["-p", "no:agentflow"]), ("with", [])):
                seconds, outputs[name] = session(top, options)
                sessions[name].append(seconds * 1000)
    report(times, heavy, sessions, outputs)
    return 0 if statistics.median(times) < 30 else 1


def import_times(runs: int) -> tuple[list[float], str]:
    times, heavy = [], ""
    for _ in range(runs):
        done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
        first, _, heavy = done.stdout.partition("\n")
        times.append(float(first))
    return times, heavy.strip()


def session(top: Path, options: list[str]) -> tuple[float, str]:
    """Wall time of a session with one empty test, only our plugin loaded beside pytest's own, and what it printed."""
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    load = [] if options else ["-p", "pytest_agentflow.plugin"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *load, *options]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=top, env=env, capture_output=True, text=True, check=False)
    return time.perf_counter() - began, f"{done.returncode} {done.stdout.split(' in ')[0]}"


def report(times: list[float], heavy: str, sessions: dict[str, list[float]], outputs: dict[str, str]) -> None:
    def row(name: str, values: list[float]) -> str:
        ordered = sorted(values)
        low, high = ordered[len(ordered) // 10], ordered[-1 - len(ordered) // 10]
        return f"| {name} | {statistics.median(values):.1f} ms | {low:.1f} to {high:.1f} ms |"

    print(f"median of {len(times)} fresh processes each, Python {sys.version.split()[0]}\n")
    print("| what | median | 10 % to 90 % |\n| --- | --- | --- |")
    print(row("import of the plugin beside pytest", times))
    print(row("one-test session without the plugin", sessions["without"]))
    print(row("the same session with the plugin", sessions["with"]))
    ratio = statistics.median(sessions["with"]) / statistics.median(sessions["without"])
    print(
        f"\nsession ratio {ratio:.3f}; heavy modules imported: {heavy or 'none'}; same output: {outputs['with'] == outputs['without']}"
    )


if __name__ == "__main__":
    sys.exit(main())
