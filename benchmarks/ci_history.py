"""Two months of CI as JUnit files with known truth: does `agentflow triage` rank the flaky tests rightly?

Three producers (pytest with reruns, Surefire with its own rerun elements, jest), three shards, retries, an outage day, a bug
that was broken for a week and then fixed.

    python benchmarks/ci_history.py --seed 3 --into DIR        # write the files and the truth
    python benchmarks/ci_history.py --score 201-203            # generate, run, score
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import quoteattr

from pytest_agentflow.adapters import junit_history
from pytest_agentflow.core.history import study

WORDS = "amber birch cedar dune ember fjord grove heath inlet jetty knoll ledge mesa north ocean pines quay ridge shoal tidal".split()  # noqa: SIM905


def make(seed: int, into: Path, days: int = 60, tests: int = 120) -> dict[str, float]:
    """Write the reports; the truth is each flaky test's rate, by its name."""
    chance = random.Random(f"history {seed}")
    producers = ("pytest", "surefire", "jest")
    names = {p: [f"{chance.choice(WORDS)}_{n}" for n in range(tests)] for p in producers}
    rates: dict[str, float] = {}
    for producer in producers:
        for name in chance.sample(names[producer], 6):
            rates[f"{producer} {name}"] = chance.choice([0.05, 0.1, 0.2, 0.4])
    broken = {p: chance.choice([n for n in names[p] if f"{p} {n}" not in rates]) for p in producers}
    start = datetime(2026, 9, 1, 8, tzinfo=UTC)
    for day in range(days):
        for round_ in range(2):
            commit = f"{seed:04x}{day // 2:036x}"  # two days, four runs per commit
            when = start + timedelta(days=day, hours=6 * round_)
            outage = day == days // 2
            for producer in producers:
                for shard in range(3):
                    mine = names[producer][shard::3]
                    results = {}
                    for name in mine:
                        p = rates.get(f"{producer} {name}", 0.0)
                        down = (outage and chance.random() < 0.95) or (
                            name == broken[producer] and 20 <= day < 28
                        )
                        attempts = []
                        for _ in range(3):  # two retries
                            attempts.append(down or chance.random() < p)
                            if not attempts[-1]:
                                break
                        results[name] = attempts
                    place = into / f"{when:%Y%m%d-%H}-{producer}-{shard}.xml"
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_text(WRITERS[producer](results, when.isoformat(), commit), encoding="utf-8")
    return rates


def head(tag: str, stamp: str, commit: str, name: str) -> str:
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites><{tag} name={quoteattr(name)} timestamp="{stamp}">'
        f'<properties><property name="commit" value="{commit}"/></properties>'
    )


def pytest_xml(results: dict[str, list[bool]], stamp: str, commit: str) -> str:
    """rerunfailures: each failed attempt that was retried is a bare case, as if it had passed."""
    parts = [head("testsuite", stamp, commit, "pytest")]
    for name, attempts in results.items():
        case = f'<testcase classname="tests.test_app" name="test_{name}" time="0.01"'
        parts += [f"{case} />" for _ in attempts[:-1]]
        parts.append(
            f'{case}><failure message="assert 1 == 2">tests/test_app.py:3</failure></testcase>'
            if attempts[-1]
            else f"{case} />"
        )
    return "".join(parts) + "</testsuite></testsuites>\n"


def surefire_xml(results: dict[str, list[bool]], stamp: str, commit: str) -> str:
    parts = [head("testsuite", stamp, commit, "org.app.AppTest").replace("<testsuites>", "")]
    for name, attempts in results.items():
        case = f'<testcase classname="org.app.AppTest" name="{name}" time="0.01"'
        bad = '{tag} message="expected 1" type="java.lang.AssertionError"><stackTrace>at org.app</stackTrace></{end}'
        if attempts[-1]:
            reruns = "".join("<" + bad.format(tag="rerunFailure", end="rerunFailure>") for _ in attempts[1:])
            parts.append(
                f'{case}><failure message="expected 1" type="java.lang.AssertionError">at</failure>{reruns}</testcase>'
            )
        elif len(attempts) > 1:
            flakes = "".join("<" + bad.format(tag="flakyFailure", end="flakyFailure>") for _ in attempts[:-1])
            parts.append(f"{case}>{flakes}</testcase>")
        else:
            parts.append(f"{case}/>")
    return "".join(parts) + "</testsuite>\n"


def jest_xml(results: dict[str, list[bool]], stamp: str, commit: str) -> str:
    """jest-junit keeps the last attempt only."""
    parts = [head("testsuite", stamp, commit, "app suite")]
    for name, attempts in results.items():
        case = f'<testcase classname="app suite {name}" name="app suite {name}" time="0.01"'
        parts.append(
            f"{case}><failure>Error: expected 1</failure></testcase>" if attempts[-1] else f"{case}/>"
        )
    return "".join(parts) + "</testsuite></testsuites>\n"


WRITERS = {"pytest": pytest_xml, "surefire": surefire_xml, "jest": jest_xml}


def score(seed: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="history-") as place:
        rates = make(seed, Path(place))
        began = time.process_time()
        runs, problems = junit_history.read([Path(place)])
        tests = study(runs)
        spent = time.process_time() - began
    flaky = [t for t in tests if t.flaky]
    true = {
        name for name in rates if not name.startswith("jest") or rates[name] >= 0.4
    }  # three in a row are rare in jest

    def known(identity: str) -> str:
        producer = "surefire" if "AppTest" in identity else "jest" if "app suite" in identity else "pytest"
        return f"{producer} {identity.rsplit('::', 1)[-1].removeprefix('test_').removeprefix('app suite ')}"

    found = [known(t.nodeid) for t in flaky]
    told = {known(t.nodeid): t for t in tests}
    ranked = [n for n in found if n.startswith("surefire")]
    by_truth = sorted(ranked, key=lambda n: -rates.get(n, 0))
    inversions = sum(rates.get(a, 0) < rates.get(b, 0) for a, b in pairwise(ranked))
    return {
        "seed": seed,
        "files": len(runs),
        "unreadable": len(problems),
        "tests": len(tests),
        "cpu": round(spent, 1),
        "flaky found": f"{len(true & set(found))} of {len(true)} that can be seen",
        "accused": sorted(set(found) - set(rates)),
        "outage runs left out": sum(r.infrastructure for r in runs),
        "runs per test": sorted({t.runs for t in tests}),
        "rank": ranked == by_truth or f"{inversions} neighbours swapped of {len(ranked)}",
        "rates": {
            n: (rates[n], round(told[n].failures / told[n].runs, 2)) for n in sorted(rates) if n in told
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--into", type=Path)
    parser.add_argument("--score")
    options = parser.parse_args()
    if options.score:
        first, _, last = options.score.partition("-")
        for seed in range(int(first), int(last or first) + 1):
            print(json.dumps(score(seed), indent=1))
    else:
        truth = make(options.seed, options.into)
        options.into.with_suffix(".truth.json").write_text(json.dumps(truth, indent=1))


if __name__ == "__main__":
    main()
