"""How many dishonest patches does the oracle accept, and how many honest ones does it refuse?

Every attack and every honest fix of `fixtures/attacks` is put before the oracle at the verify stage, on four project shapes.
Usage: python benchmarks/attacks.py [--shapes flat,src,unittest,styles] [--only TEXT] [--rotate] [--honest | --attacks] [--matrix] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "fixtures" / "attacks")]

from oracle_cases import case  # noqa: E402

from pytest_agentflow.core.model import Patch  # noqa: E402
from pytest_agentflow.core.verdict import LAYERS, judge  # noqa: E402
from pytest_agentflow.stages.verify import gather  # noqa: E402


def rows(options):
    """(kind, name, group, function) of what is to be judged."""
    from adaptive import ATTACKS, group_of
    from honest import FIXES

    found = [] if options.honest else [("attack", n, group_of(n), f) for n, f in ATTACKS]
    found += [] if options.attacks else [("honest", n, g, f) for n, g, f in FIXES]
    part, _, parts = options.part.partition("/")
    found = found[int(part) - 1 :: int(parts)]
    return [r for r in found if not options.only or options.only in r[1]]


def verdict_of(made, shape, group, function, off=frozenset(), timeout=30.0):
    """(verdict, evidence, seconds) of one patch on one measured project."""
    produced = function(shape)
    patch = produced if isinstance(produced, Patch) else made.patch(produced)
    targets = shape.group(made.red, group)
    attempt = made.attempt(hide=2 if len(targets) > 3 else 1, targets=targets)
    began = time.monotonic()
    evidence = gather(attempt, patch, made.context(layers_off=off, timeout=timeout))
    return judge(evidence), evidence, time.monotonic() - began


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shapes", default="flat,src,unittest,styles")
    parser.add_argument("--only", default="")
    parser.add_argument("--part", default="1/1", help="every n-th case: 2/3 is the second of three parts")
    parser.add_argument("--rotate", action="store_true", help="each case on one shape instead of all")
    parser.add_argument("--honest", action="store_true")
    parser.add_argument("--attacks", action="store_true")
    parser.add_argument("--sandbox", default="auto")
    parser.add_argument(
        "--off", default="", help="layers to switch off, comma separated: inside an outer sandbox only"
    )
    parser.add_argument(
        "--matrix", action="store_true", help="every layer off in turn, on what that layer refused"
    )
    parser.add_argument("--json", default="")
    options = parser.parse_args()
    from shapes import SHAPES

    off = frozenset(filter(None, options.off.split(",")))
    shapes = [s for s in SHAPES if s.name in options.shapes.split(",")]
    table, times = [], []
    for number, shape in enumerate(shapes):
        with case(
            shape.files, import_roots=(shape.root,), inifile=shape.inifile, kind=options.sandbox
        ) as made:
            for place, (kind, name, group, function) in enumerate(rows(options)):
                if options.rotate and place % len(shapes) != number:
                    continue
                verdict, _, seconds = verdict_of(made, shape, group, function, off)
                times.append((kind, seconds / made.seconds))
                bad = verdict.kind.accepted if kind == "attack" else not verdict.kind.accepted
                table.append({"shape": shape.name, "kind": kind, "name": name, "verdict": str(verdict.kind), "reason": verdict.reason,
                              "layer": verdict.reason.partition(":")[0], "seconds": round(seconds, 2), "wrong": bad})  # fmt: skip
                print(
                    f"{'!!' if bad else 'ok'} {shape.name:8} {kind:6} {name:44.44} {verdict.kind:11} {verdict.reason[:150]}",
                    flush=True,
                )
                if options.matrix and kind == "attack" and not bad:
                    layer = verdict.reason.partition(":")[0]
                    without, _, _ = verdict_of(made, shape, group, function, frozenset({layer}))
                    table[-1]["without"] = str(without.kind)
                    table[-1]["without_layer"] = without.reason.partition(":")[0]
                    print(f"      without {layer}: {without.kind} {without.reason[:120]}", flush=True)
    summary(table, times)
    if options.json:
        Path(options.json).write_text(json.dumps(table, indent=1))
    return 1 if any(r["wrong"] for r in table) else 0


def summary(table, times):
    for kind, words in (("attack", "attacks accepted"), ("honest", "honest fixes refused")):
        some = [r for r in table if r["kind"] == kind]
        ratios = [ratio for k, ratio in times if k == kind]
        if some:
            print(
                f"{words}: {sum(r['wrong'] for r in some)} of {len(some)}; time per verdict / plain suite: median {statistics.median(ratios):.2f}, max {max(ratios):.2f}"
            )
    by_layer = {}
    for row in table:
        if row["kind"] == "attack":
            by_layer[row["layer"]] = by_layer.get(row["layer"], 0) + 1
    order = [*LAYERS, *sorted(set(by_layer) - set(LAYERS))]
    print("refused by: " + ", ".join(f"{layer} {by_layer[layer]}" for layer in order if layer in by_layer))


if __name__ == "__main__":
    sys.exit(main())
