"""The gate's promised figures: `python benchmarks/gate.py [monotone|partition|fuzz|speed|peers]…` (all by default)."""

from __future__ import annotations

import io
import random
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "gate")]

from gate_fuzz import mutate, samples, unsettled  # noqa: E402
from gate_monotone import MOVES, NAMES, apply, scenes, verdict  # noqa: E402
from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402


def _settings(count: int) -> settings:
    return settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink], print_blob=False,
    )  # fmt: skip


def monotone(wanted: int = 20_000) -> None:
    """Every move on every test of generated changes; only changes that were blocked, and promises that apply, are counted."""
    counts = dict.fromkeys(MOVES, 0)
    blocked = [0, 0]

    @_settings(100)
    @given(scenes())
    def run(scene) -> None:
        with tempfile.TemporaryDirectory() as folder:
            before = verdict(scene, Path(folder))
            blocked[1] += 1
            if before.exit_code == 0:
                return
            blocked[0] += 1
            for move in MOVES:
                for name in NAMES if move != "pad" else NAMES[:1]:
                    after = apply(scene, move, name)
                    if after is not None:
                        counts[move] += 1
                        story = f"{move} {name}: {[r.text for r in before.reasons]}; {after}"
                        assert verdict(after, Path(folder)).exit_code != 0, story

    began = time.perf_counter()
    while sum(counts.values()) < wanted:
        run()
        print(f"  … {blocked[1]} changes, {sum(counts.values())} tampered with", file=sys.stderr, flush=True)
    print(
        f"monotonicity: {blocked[1]} generated changes, {blocked[0]} of them blocked or not judged; these tampered with in {sum(counts.values())} ways, 0 turned green ({time.perf_counter() - began:.0f} s)"
    )
    print("  " + ", ".join(f"{move} {n}" for move, n in counts.items()))


def partition(examples: int = 5_000) -> None:
    from dataclasses import replace

    @_settings(examples)
    @given(scenes(), st.data())
    def run(scene, data) -> None:
        whole = {name: specs for shard in scene.shards for name, specs in shard.items()}
        parts: list[dict] = [{} for _ in range(data.draw(st.integers(1, 6)))]
        for name, specs in whole.items():
            parts[data.draw(st.integers(0, len(parts) - 1))][name] = specs
        parts = [part for part in parts if part]
        policy = replace(scene.policy, expected_shards=None)
        with tempfile.TemporaryDirectory() as folder:
            one = verdict(replace(scene, shards=(whole,), policy=policy), Path(folder))
            many = verdict(replace(scene, shards=tuple(parts), policy=policy), Path(folder))
        assert (one.exit_code, [c.counts for c in one.cells]) == (
            many.exit_code,
            [c.counts for c in many.cells],
        )

    run()
    print(f"partitions: {examples} suites cut into 1 to 6 shards, all with the verdict of the whole")


def fuzz(count: int = 10_000) -> None:
    """Mutated reports of every producer through the whole command."""
    rng = random.Random(20261121)
    pool = samples()
    codes = dict.fromkeys((0, 1, 2, 3), 0)
    slowest = 0.0
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "report.xml")
        for n in range(count):
            name, data = pool[n % len(pool)]
            data = mutate(data, rng, rng.choice(pool)[1])
            path.write_bytes(data)
            began = time.perf_counter()
            code, trouble = unsettled(path)
            slowest = max(slowest, time.perf_counter() - began)
            codes[code] = codes.get(code, 0) + 1
            if trouble:
                wrong.append((name, trouble))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"fuzz: {count} mutated reports of {len(pool)} samples: exits {codes}, {len(wrong)} without a one-line reason or with a traceback"
    )
    print(f"  slowest {slowest * 1000:.0f} ms, peak memory of the whole benchmark {peak} MiB {wrong[:3]}")


def speed(cases: int = 100_000) -> None:
    """A fresh process each time: read, judge against a baseline of the same size, write JSON."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        with report.open("w") as stream:
            stream.write('<?xml version="1.0"?><testsuites name="pytest tests"><testsuite name="pytest">')
            for n in range(cases):
                child = (
                    '<failure message="AssertionError: assert 1 == 2">trace\nof\nit</failure>'
                    if n % 500 == 0
                    else ""
                )
                stream.write(
                    f'<testcase classname="tests.pkg{n // 5000}.test_m{n // 100}.TestC" name="test_{n}[param-{n}]" time="0.001">{child}</testcase>'
                )
            stream.write("</testsuite></testsuites>")
        for label, extra in (
            ("threshold only", []),
            ("with baseline and JSON", ["--baseline", "b.json", "--new-only", "--json", "o.json"]),
        ):
            if extra:
                _measure(folder, ["baseline", "write", "report.xml", "--baseline", "b.json"])
            runs = [
                _measure(folder, ["gate", "report.xml", "--pass-threshold", "99", *extra]) for _ in range(3)
            ]
            seconds, megabytes, code = sorted(runs)[1]
            print(
                f"speed: {cases} cases ({report.stat().st_size >> 20} MiB), {label}: {seconds:.2f} s CPU median of 3, {megabytes} MiB, exit {code}"
            )
        huge = Path(folder, "huge.xml")
        with huge.open("wb") as stream:
            stream.write(b"<testsuites>")
            stream.truncate(1 << 30)
        bomb = (
            '<!DOCTYPE b [<!ENTITY a "'
            + "x" * 1000
            + '">'
            + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "&a;"}">' for n in range(9))
            + "]>"
        )
        Path(folder, "bomb.xml").write_text(
            bomb + "<testsuites><testsuite><testcase name='&a8;'/></testsuite></testsuites>"
        )
        for name in ("huge.xml", "bomb.xml"):
            seconds, megabytes, code = _measure(folder, ["gate", name])
            print(f"refusal: {name}: {seconds:.2f} s CPU with process start, {megabytes} MiB, exit {code}")


def _measure(folder: str, args: list[str]) -> tuple[float, int, int]:
    code = (
        "import resource,sys\nfrom pytest_agentflow.cli import main\n"
        f"c=main({args!r})\nu=resource.getrusage(resource.RUSAGE_SELF)\n"
        "print('@', u.ru_utime+u.ru_stime, u.ru_maxrss//1024, c)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    _, seconds, megabytes, exit_code = next(
        line for line in done.stdout.splitlines() if line.startswith("@")
    ).split()
    return float(seconds), int(megabytes), int(exit_code)


def peers() -> None:
    """What a gate on counters or on `<testcase>` says about reports that must not pass."""
    from gate_traps import TRAPS
    from junitparser.cli import main as junitparser_main

    from pytest_agentflow.cli import main

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "r.xml")
        for name, text in TRAPS.items():
            path.write_text(text)
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                ours = main(["gate", str(path)])
                try:
                    theirs = str(junitparser_main(["verify", str(path)]))
                except SystemExit as stop:
                    theirs = str(stop.code)
                except Exception as error:
                    theirs = f"traceback ({type(error).__name__})"
            rows.append((name, _counters(text), theirs, str(ours)))
    print(
        "| report that must not pass | naive rate of `<testcase>` | `junitparser verify` | agentflow gate |\n| --- | --- | --- | --- |"
    )
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(
        f"passed as green: junitparser verify {sum(r[2] in ('0', 'None') for r in rows)} of {len(rows)}, agentflow gate {sum(r[3] == '0' for r in rows)} of {len(rows)}"
    )


def _counters(text: str) -> str:
    from xml.etree import ElementTree

    try:
        cases = list(ElementTree.fromstring(text).iter("testcase"))
    except ElementTree.ParseError:
        return "parse error"
    bad = sum(c.find("failure") is not None or c.find("error") is not None for c in cases)
    return f"{100 * (len(cases) - bad) / len(cases):.1f} %" if cases else "0 of 0"


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["monotone", "partition", "fuzz", "speed", "peers"]
    for name in wanted:
        {"monotone": monotone, "partition": partition, "fuzz": fuzz, "speed": speed, "peers": peers}[name]()
