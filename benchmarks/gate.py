"""The gate's promised figures: `python benchmarks/gate.py [monotone|partition|fuzz|speed|peers]…` (all by default).

Long parts take a seed and a size, `monotone:3:5000`, so that they can be run in pieces.
"""

from __future__ import annotations

import io
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "gate")]

from gate_fuzz import bereft, greens, mutate, samples, unsettled  # noqa: E402
from gate_monotone import MOVES, scenes, tampered, through_files, verdict  # noqa: E402
from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from hypothesis import seed as hypothesis_seed  # noqa: E402
from hypothesis import strategies as st  # noqa: E402


def _settings(count: int) -> settings:
    return settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink], print_blob=False,
    )  # fmt: skip


def monotone(seed: int = 1, wanted: int = 20_000) -> None:
    """Every promised move on every test of generated changes; every twentieth change also goes through XML files."""
    counts = dict.fromkeys(MOVES, 0)
    scenes_seen, blocked, filed = 0, 0, 0

    def run(scene) -> None:
        nonlocal scenes_seen, blocked, filed
        scenes_seen += 1
        before = sum(counts.values())
        for story, move in tampered(scene):
            counts[move] += 1
            assert not story, story
        blocked += sum(counts.values()) > before
        if scenes_seen % 20 == 0:
            filed += 1
            with tempfile.TemporaryDirectory() as folder:
                assert through_files(scene, Path(folder)) == verdict(scene)

    began = time.process_time()
    piece = 0
    while scenes_seen < wanted:
        hypothesis_seed(seed * 1000 + piece)(_settings(1000)(given(scenes())(run)))()
        piece += 1
        print(f"  … {scenes_seen} changes, {sum(counts.values())} tampered with", file=sys.stderr, flush=True)
    print(
        f"monotonicity, seed {seed}: {scenes_seen} generated changes, {blocked} of them blocked or not judged and tampered with in {sum(counts.values())} ways: 0 turned green; {filed} also read from XML files, with the same verdict ({time.process_time() - began:.0f} s CPU)"
    )
    print("  " + ", ".join(f"{move} {n}" for move, n in counts.items()))


def partition(seed: int = 1, examples: int = 5_000) -> None:
    """Generated suites cut into one to six shards; every twentieth through XML files."""
    filed = 0

    def run(scene, data) -> None:
        nonlocal filed
        whole = {name: specs for shard in scene.shards for name, specs in shard.items()}
        parts: list[dict] = [{} for _ in range(data.draw(st.integers(1, 6)))]
        for name, specs in whole.items():
            parts[data.draw(st.integers(0, len(parts) - 1))][name] = specs
        parts = [part for part in parts if part]
        policy = replace(scene.policy, expected_shards=None)
        one = replace(scene, shards=(whole,), policy=policy)
        many = replace(scene, shards=tuple(parts), policy=policy)
        assert _essence(verdict(one)) == _essence(verdict(many))
        if data.draw(st.integers(0, 19)) == 0:
            filed += 1
            with tempfile.TemporaryDirectory() as folder:
                assert _essence(through_files(many, Path(folder))) == _essence(verdict(one))

    hypothesis_seed(seed)(_settings(examples)(given(scenes(), st.data())(run)))()
    print(
        f"partitions, seed {seed}: {examples} suites cut into 1 to 6 shards, all with the verdict of the whole ({filed} also through XML files)"
    )


def _essence(result) -> tuple:
    """The verdict, each cell's counts and rate, and the rules broken."""
    rules = {(r.level, r.rule) for r in result.reasons if r.rule != "stopped-early"}
    return result.exit_code, [(c.counts, c.rate, c.judged) for c in result.cells], rules


def fuzz(seed: int = 1, count: int = 10_000) -> None:
    """Mutated reports of every producer through the whole command, in forked batches; half of them lost evidence by design."""
    codes = dict.fromkeys((0, 1, 2, 3), 0)
    slowest, peak, lost, wrong = 0.0, 0, 0, []
    for batch in range(0, count, 500):
        done = _forked(lambda n=batch: _batch(seed * 10**6 + n, min(500, count - n)))
        for code, found in done["codes"].items():
            codes[int(code)] = codes.get(int(code), 0) + found
        slowest, peak, lost = max(slowest, done["slowest"]), max(peak, done["peak"]), lost + done["lost"]
        wrong += done["wrong"]
        print(f"  … {batch + 500} reports, {len(wrong)} wrong", file=sys.stderr, flush=True)
    print(
        f"fuzz, seed {seed}: {count} mutated reports of {len(samples())} samples: exits {codes}; {lost} of them lost evidence; {len(wrong)} wrong (a traceback, no one-line reason, or green after a loss)"
    )
    print(f"  slowest {slowest * 1000:.0f} ms, peak memory of a process {peak} MiB {wrong[:3]}")


def _batch(seed: int, count: int) -> dict:
    rng = random.Random(seed)
    pool, green = samples(), greens()
    found = {"codes": {}, "slowest": 0.0, "lost": 0, "wrong": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "report.xml")
        for n in range(count):
            if n % 2:
                name, data = (pool + green)[n // 2 % (len(pool) + len(green))]
                how, data = bereft(data, rng)
            else:
                name, data = pool[n // 2 % len(pool)]
                how, data = "", mutate(data, rng, rng.choice(pool)[1])
            path.write_bytes(data)
            began = time.process_time()
            code, trouble = unsettled(path)
            found["slowest"] = max(found["slowest"], time.process_time() - began)
            found["codes"][code] = found["codes"].get(code, 0) + 1
            found["lost"] += bool(how)
            if trouble or code == 0:  # every sample fails, so a mutated one that passes lost evidence too
                found["wrong"].append((name, how, trouble, data[:2000].decode("latin-1")))
    found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return found


def _forked(work) -> dict:
    """A batch in a process of its own, so that its memory is its own."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(into, "w") as stream:
            json.dump(work(), stream)
        os._exit(0)
    os.close(into)
    with os.fdopen(out) as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return json.loads(text)


def speed(cases: int = 100_000) -> None:
    """A fresh process each time: read, judge against a baseline of the same size, write JSON and SARIF."""
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
            (
                "with baseline, JSON and SARIF",
                ["--baseline", "b.json", "--new-only", "--json", "o.json", "--sarif", "o.sarif"],
            ),
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


PARTS = {"monotone": monotone, "partition": partition, "fuzz": fuzz, "speed": speed, "peers": peers}

if __name__ == "__main__":
    for word in sys.argv[1:] or PARTS:
        name, *numbers = word.split(":")
        PARTS[name](*map(int, numbers))
