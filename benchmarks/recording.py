"""What does recording cost beside plain pytest, pytest-cov with contexts and testmon, and is it exact?

    python benchmarks/recording.py cost PROJECT... --python PY [--pairs 5] [--peers]
    python benchmarks/recording.py instructions PROJECT... --python PY [--peers]
    python benchmarks/recording.py exact PROJECT... --python PY
    python benchmarks/recording.py growth --python PY
    python benchmarks/recording.py sizes PROJECT... --python PY

`PY` is an interpreter with pytest, coverage, pytest-cov, (pytest-testmon) and this package. CPU seconds (user and system,
children included) of whole processes; each configuration runs directly after a plain run; the figure is the median of the ratios.
`instructions` counts them with valgrind instead, in user mode and in pytest's process: the same on every run, however busy the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pytest_agentflow.adapters.coverage_map import CoverageMap, read

HERE = Path(__file__).parent
QUIET = [
    "-q",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:asyncio",
    "-p",
    "no:randomly",
    "-o",
    "addopts=",
    "-W",
    "ignore",
]
OFF = ["-p", "no:cov", "-p", "no:testmon", "-p", "no:xdist"]


def source_root(project: Path) -> Path:
    return project / "src" if (project / "src").is_dir() else project


def run(
    python: str,
    project: Path,
    args: Sequence[str],
    env: dict[str, str] | None = None,
    under: Sequence[str] = (),
) -> tuple[float, str]:
    """CPU seconds and the last line of a pytest run, under another program if one is given."""
    path = os.pathsep.join([str(source_root(project)), str(project), str(HERE)])
    full = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0", **(env or {})}
    full.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*under, python, "-m", "pytest", *QUIET, *args],
        cwd=project,
        env=full,
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, (done.stdout.strip().splitlines() or [done.stderr[-200:]])[-1]


def options(level: str, out: Path, roots: Sequence[str] = (".",)) -> dict[str, str]:
    return {"AGENTFLOW_RECORDER": json.dumps({"roots": list(roots), "level": level, "out": str(out)})}


def configurations(project: Path, scratch: Path, python: str):
    """Name -> (arguments, environment). All of them measure the same files: everything under the project."""
    ours = [*OFF, "-p", "pytest_agentflow.child.recorder"]
    found = {
        "plain": (OFF, {}),
        "lines": (ours, options("lines", scratch / "lines")),
        "functions": (ours, options("functions", scratch / "functions")),
    }
    if python:
        found["cov-context"] = (
            [
                "-p",
                "no:testmon",
                "-p",
                "no:xdist",
                f"--cov={project}",
                "--cov-context=test",
                "--cov-report=",
                "--cov-config=/dev/null",
            ],
            {"COVERAGE_FILE": str(scratch / "coverage.db"), "COVERAGE_CORE": "ctrace"},
        )
        testmon = "import importlib.util as u, sys; sys.exit(u.find_spec('testmon') is None)"
        if subprocess.run([python, "-c", testmon], check=False).returncode:
            return found
        found["testmon"] = (
            ["-p", "no:cov", "-p", "no:xdist", "--testmon", "--testmon-noselect"],
            {"TESTMON_DATAFILE": str(scratch / "testmon.db")},
        )
    return found


def cost(projects: Sequence[Path], python: str, pairs: int, peers: bool) -> None:
    for project in projects:
        scratch = Path(tempfile.mkdtemp())
        todo = configurations(project, scratch, python if peers else "")
        plain = todo.pop("plain")
        run(python, project, *plain)  # fills the bytecode cache
        ratios: dict[str, list[float]] = {name: [] for name in todo}
        plains, said = [], ""
        for _ in range(pairs):
            for name, (args, env) in todo.items():
                base, said = run(python, project, *plain)
                plains.append(base)
                for each in scratch.iterdir():
                    shutil.rmtree(each) if each.is_dir() else each.unlink()
                cpu, told = run(python, project, args, env)
                ratios[name].append(cpu / base)
                if told.split(" in ")[0] != said.split(" in ")[0]:
                    print(f"  {project.name} {name}: other outcome: {told} (plain: {said})")
        shown = "  ".join(
            f"{name} {statistics.median(r):.2f} ({min(r):.2f}-{max(r):.2f})" for name, r in ratios.items()
        )
        print(f"{project.name:14} plain {statistics.median(plains):6.2f} s  {shown}  [{said}]", flush=True)
        shutil.rmtree(scratch)


def instructions(projects: Sequence[Path], python: str, peers: bool) -> None:
    for project in projects:
        counts: dict[str, int] = {}
        with tempfile.TemporaryDirectory() as scratch:
            log = Path(scratch) / "counted"
            counting = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", f"--log-file={log}"]  # fmt: skip
            for name, (args, env) in configurations(project, Path(scratch), python if peers else "").items():
                run(python, project, args, env)  # fills the bytecode cache
                run(python, project, args, env, counting)
                counted = re.search(r"I +refs: +([\d,]+)", log.read_text())
                if counted is None:
                    sys.exit(f"valgrind counted nothing for {project.name}, {name}: {log.read_text()[-300:]}")
                counts[name] = int(counted[1].replace(",", ""))
        plain = counts.pop("plain")
        shown = "  ".join(f"{name} {count / plain:.3f}" for name, count in counts.items())
        print(f"{project.name:14} plain {plain / 1e9:6.2f} G  {shown}", flush=True)


def recorded(project: Path, python: str, plugin: str) -> CoverageMap:
    with tempfile.TemporaryDirectory() as scratch:
        run(python, project, [*OFF, "-p", plugin], options("lines", Path(scratch)))
        return read(Path(scratch), project)


def exact(projects: Sequence[Path], python: str) -> None:
    """Compare with coverage's C tracer under the same owners, phase by phase."""
    for project in projects:
        ours = recorded(project, python, "pytest_agentflow.child.recorder")
        theirs = recorded(project, python, "reference_recorder")
        control = recorded(project, python, "reference_recorder")
        steady = [t for t in theirs.tests if theirs.bits_of(t) == control.bits_of(t)]
        total = missing = extra = 0
        shown: list[str] = []
        for test in steady:
            for kind in ours.rows:
                mine, reference = ours.bits_of(test, [kind]), theirs.bits_of(test, [kind])
                for path in {*mine, *reference}:
                    a, b = mine.get(path, 0), reference.get(path, 0)
                    total += b.bit_count()
                    missing += (b & ~a).bit_count()
                    extra += (a & ~b).bit_count()
                    if a != b and len(shown) < 5:
                        lines = [n for n in range((a ^ b).bit_length()) if (a ^ b) >> n & 1]
                        shown.append(f"    {test} {kind} {path} {lines[:8]}")
        imported = sum(
            ours.lines_imported(p) != theirs.lines_imported(p) for p in {*ours.paths(), *theirs.paths()}
        )
        print(
            f"{project.name:14} tests {len(ours.tests)}/{len(theirs.tests)} ({len(theirs.tests) - len(steady)} differ between two runs of coverage: left out)  lines {total}  missing {missing}  extra {extra}  files with other import lines {imported}",
            flush=True,
        )
        print("\n".join(shown))


def growth(python: str, pairs: int) -> None:
    """Extra CPU per test from 2,000 to 20,000 tests in 1,000 files, and what the map costs to load and turn around."""
    for count in (2_000, 6_000, 20_000):
        with tempfile.TemporaryDirectory() as top:
            project = synthetic(Path(top), count, files=count // 20)
            out = project / "out"
            recording = [*OFF, "-p", "pytest_agentflow.child.recorder"], options("lines", out, ["pkg"])
            run(python, project, *recording)  # compiles
            extra, said = [], ""
            for _ in range(pairs):
                plain, _ = run(python, project, OFF)
                shutil.rmtree(out)
                cpu, said = run(python, project, *recording)
                extra.append((cpu - plain) / count * 1e6)
            began = time.process_time()
            recorded_map = read(out, project)
            merging = time.process_time() - began
            print(
                f"{count} tests: extra per test {statistics.median(extra):.0f} us ({min(extra):.0f}-{max(extra):.0f}); merge {merging * 1000:.0f} ms  [{said}]",
                flush=True,
            )
            map_figures(recorded_map)


def synthetic(top: Path, tests: int, files: int) -> Path:
    (top / "pkg").mkdir()
    (top / "pkg" / "__init__.py").write_text("")
    (top / "tests").mkdir()
    for n in range(files):
        body = "".join(
            f"def f{k}(x):\n    if x > {k}:\n        y = x * {k}\n    else:\n        y = x + {k}\n    return y\n\n"
            for k in range(20)
        )
        (top / "pkg" / f"m{n}.py").write_text(body)
        cases = "".join(
            f"def test_{k}():\n    for v in range(5):\n        m{n}.f{k}(v + {k})\n        m{(n + 1) % files}.f{(k * 7) % 20}(v)\n\n"
            for k in range(tests // files)
        )
        (top / "tests" / f"test_m{n}.py").write_text(f"from pkg import m{n}, m{(n + 1) % files}\n\n{cases}")
    return top


def map_figures(recorded_map: CoverageMap) -> None:
    raw = recorded_map.to_bytes()
    times = []
    for _ in range(5):
        began = time.process_time()
        loaded = CoverageMap.from_bytes(raw)
        loaded.tests_reaching(loaded.files[0], [3])
        times.append(time.process_time() - began)
    print(
        f"  map: {len(raw) / 1024:.1f} KB, {len(loaded.tests)} tests, {len(loaded.files)} files; load and turn around {statistics.median(times) * 1000:.0f} ms CPU (median of 5)"
    )


def sizes(projects: Sequence[Path], python: str) -> None:
    """The map beside coverage's database with contexts, for the same files."""
    for project in projects:
        with tempfile.TemporaryDirectory() as scratch:
            args, env = configurations(project, Path(scratch), python)["cov-context"]
            run(python, project, args, env)
            theirs = (Path(scratch) / "coverage.db").stat().st_size
        mine = len(recorded(project, python, "pytest_agentflow.child.recorder").to_bytes())
        print(
            f"{project.name:14} map {mine / 1024:8.1f} KB   coverage {theirs / 1024:9.1f} KB   1/{theirs / mine:.1f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("job", choices=["cost", "instructions", "exact", "growth", "sizes"])
    parser.add_argument("projects", nargs="*", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--peers", action="store_true")
    args = parser.parse_args()
    projects = [p.resolve() for p in args.projects]
    python = os.path.abspath(args.python)
    if args.job == "cost":
        cost(projects, python, args.pairs, args.peers)
    elif args.job == "instructions":
        instructions(projects, python, args.peers)
    elif args.job == "exact":
        exact(projects, python)
    elif args.job == "sizes":
        sizes(projects, python)
    else:
        growth(python, args.pairs)


if __name__ == "__main__":
    main()
