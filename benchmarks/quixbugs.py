"""How far does the search agent get on QuixBugs? Give the path of a checkout; nothing of it is stored here.

`plausible`: a patch flips every failing test and breaks none, judged by a cold run. `same`: the chosen (first) patch equals
the reference after normalising; `alike`: it does what the reference does on the cases and on generated neighbours of their
inputs; `differs`: it does not; `read`: a person has to (programs on graphs and lists of nodes). `--half` shows the agent every second JSON case only and judges the chosen patch on the others.

The templates were written by people who know QuixBugs: the figure says what such a search can reach, not how it fares on
bugs that nobody has seen. For that, see benchmarks/search.py.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from search_harness import Case, attempt, cpu_seconds, green, red, with_files

from pytest_agentflow.core.model import Outcome, SessionRecord, TestResult
from pytest_agentflow.core.neighbours import neighbours

GENERATED = 60  # inputs beside the cases
# Both programs on every input, apart from those that the reference itself does not finish or refuses.
COMPARE = """
import copy, json, signal, sys, types
name, *texts, inputs = json.load(sys.stdin)
def stop(*_): raise TimeoutError
signal.signal(signal.SIGALRM, stop)
functions = []
for text in texts:
    space = {}
    exec(text, space)
    functions.append(space[name])
def run(function, given):
    signal.setitimer(signal.ITIMER_REAL, 2.0)
    try:
        value = function(*copy.deepcopy(given))
        value = list(value) if isinstance(value, types.GeneratorType) else value
        return 'value', json.loads(json.dumps(value))
    except Exception as error:
        return 'error', type(error).__name__
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
compared = 0
for given in inputs:
    wanted = run(functions[0], given)
    if wanted[0] == 'value':
        compared += 1
        if run(functions[1], given) != wanted:
            print('differs')
            break
else:
    print('alike' if compared >= 10 else 'read')
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--half", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--deadline", type=float, default=60.0)
    parser.add_argument("--show", action="store_true", help="print every chosen patch")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="quixbugs-"))
    tree = root / "tree"
    shutil.copytree(args.path, tree, ignore=shutil.ignore_patterns(".git", "java*", "*.pdf"))
    tests = sorted((tree / "python_testcases").glob("test_*.py"))
    names = [t.stem.removeprefix("test_") for t in tests]
    names = [n for n in names if not args.only or n in args.only.split(",")]
    if args.half:
        names = [n for n in names if (tree / "json_testcases" / f"{n}.json").exists()]
    rows = []
    for name in names:
        rows.append(one(name, tree, root / "scratch", args))
        print(line(rows[-1]), flush=True)
        if args.show:
            print(rows[-1]["diff"])
        if args.json:
            args.json.write_text(json.dumps(rows, indent=1))
    summary(rows, args.half)
    shutil.rmtree(root, ignore_errors=True)
    return 0


def one(name: str, tree: Path, scratch: Path, args: argparse.Namespace) -> dict:
    source, test = f"python_programs/{name}.py", f"python_testcases/test_{name}.py"
    case = Case(name, tree, scratch, scope=("python_programs/",))
    base = case.run([test], timeout=120, extra_args=("--timeout=2",))
    results = base.results
    if not red(results):
        raise SystemExit(
            f"{name}: no test fails ({base.problem or 'all pass'}; pytest-timeout is needed)\n{base.output_tail[-400:]}"
        )
    order = [i for i, r in results.items() if r.outcome is not Outcome.SKIPPED]  # slow cases, by default
    hidden = set(order[1::2]) if args.half else set()
    visible = [i for i in red(results) if i not in hidden] or red(results)[:1]
    hidden -= set(visible)
    guards = [i for i in green(results) if i not in hidden]
    lines = [(source, n, s) for n, s in suspicion(case, source, results).items()]
    report, wall, cpu = attempt(case, results, visible, guards, lines, deadline=args.deadline)
    row = {
        "name": name,
        "wall": wall,
        "cpu": cpu,
        "tried": report.notes.get("tried", 0),
        "outcome": report.outcome.value,
    }
    row |= {
        "plausible": 0,
        "kind": "",
        "correct": "",
        "hidden": "",
        "diff": "",
        "notes": str(report.notes)[:600],
    }
    if report.candidates:
        best = report.candidates[0]
        row["plausible"] = int(judged(with_files(case, best.files, visible + guards), visible + guards))
        if hidden:
            row["hidden"] = int(judged(with_files(case, best.files, sorted(hidden)), sorted(hidden)))
        row["kind"] = best.label
        row["correct"] = same_as_reference(tree, name, best.files[source])
        if row["correct"] == "read":
            row["correct"] = like_reference(tree, name, best.files[source])
        row["diff"] = diff((tree / source).read_bytes(), best.files[source], name)
        row["any"] = [same_as_reference(tree, name, c.files[source]) for c in report.candidates]
    return row


def judged(record: SessionRecord, ids: list[str]) -> bool:
    return record.problem is None and all(
        i in record.results and record.results[i].outcome == "passed" for i in ids
    )


def suspicion(case: Case, source: str, results: dict[str, TestResult]) -> dict[int, float]:
    """Code lines of the program's functions, all alike: the localisation's figures are measured elsewhere."""
    tree = ast.parse((case.tree / source).read_text())
    found = {}
    for function in (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)):
        for node in ast.walk(function):
            if isinstance(node, ast.stmt) and node is not function:
                found[node.lineno] = 0.5
    return found


def same_as_reference(tree: Path, name: str, patched: bytes) -> str:
    """ "same" when the text equals the reference after normalising, else "read": a person has to."""
    reference = (tree / "correct_python_programs" / f"{name}.py").read_bytes()
    return "same" if normal(reference) == normal(patched) else "read"


def like_reference(tree: Path, name: str, patched: bytes) -> str:
    cases = tree / "json_testcases" / f"{name}.json"
    if not cases.exists():
        return "read"
    shown = [tuple(json.loads(row)[0]) for row in cases.read_text().splitlines() if row.strip()]
    inputs = [*shown, *neighbours(shown, GENERATED)]
    reference = (tree / "correct_python_programs" / f"{name}.py").read_text()
    asked = json.dumps([name, reference, patched.decode(), [list(i) for i in inputs]])
    told = subprocess.run(
        [sys.executable, "-c", COMPARE], input=asked, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "read"


def normal(source: bytes) -> str:
    tree = ast.parse(source)
    tree.body = [n for n in tree.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
    return ast.dump(tree)


def diff(old: bytes, new: bytes, name: str) -> str:
    rows = difflib.unified_diff(
        old.decode().splitlines(), new.decode().splitlines(), name, name, lineterm="", n=1
    )
    return "\n".join(rows)


def line(row: dict) -> str:
    hidden = f" hidden={row['hidden']}" if row["hidden"] != "" else ""
    return (
        f"{row['name']:30} plausible={row['plausible']} {row['correct']:7}{hidden} tried={row['tried']:6}"
        f" cpu={row['cpu']:6.1f} wall={row['wall']:6.1f} {row['kind']}"
    )


def summary(rows: list[dict], half: bool) -> None:
    print(f"\n{len(rows)} programs: plausible {sum(r['plausible'] for r in rows)}", end="")
    print(f", textually the reference {sum(r['correct'] == 'same' for r in rows)}", end="")
    for what in ("alike", "differs", "read"):
        print(f", {what} {sum(r['correct'] == what for r in rows)}", end="")
    if half:
        print(
            f", chosen patch passes the hidden half {sum(r['hidden'] == 1 for r in rows)} of {len(rows)}",
            end="",
        )
    cpu = [r["cpu"] for r in rows]
    print(
        f"\nCPU of the attempts: {sum(cpu):.1f} s in all, median {statistics.median(cpu):.2f} s; everything {cpu_seconds():.1f} s"
    )
    print("The templates were written by people who know QuixBugs; the fair figure is benchmarks/search.py.")


if __name__ == "__main__":
    raise SystemExit(main())
