"""Whose code do the tests run in a copy of the project? Real editable installs, each way of starting pytest, peers beside us.

    python benchmarks/import_layouts.py [--keep DIR] [--only WORD]

Builds one virtual environment, then for each layout: installs the project editable, copies it (with `git worktree add` for the
peers, with a pooled workspace for us), and lets a real test in the copy say which file it imported, itself and in a subprocess.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from pytest_agentflow.adapters import import_roots
from pytest_agentflow.adapters.repository import open_repository
from pytest_agentflow.adapters.snapshot import take
from pytest_agentflow.adapters.workspaces import Pool

BUILD = {
    "setuptools": ('requires = ["setuptools>=64"]', "setuptools.build_meta"),
    "hatchling": ('requires = ["hatchling"]', "hatchling.build"),
    "flit": ('requires = ["flit_core"]', "flit_core.buildapi"),
    "poetry": ('requires = ["poetry-core"]', "poetry.core.masonry.api"),
    "pdm": ('requires = ["pdm-backend"]', "pdm.backend"),
    "uv_build": ('requires = ["uv_build"]', "uv_build"),
}
LAYOUTS = [  # name, backend, directory of the package, pip arguments
    ("setuptools src", "setuptools", "src", ()),
    ("setuptools flat", "setuptools", ".", ()),
    ("setuptools flat strict", "setuptools", ".", ("--config-settings", "editable_mode=strict")),
    ("hatchling src", "hatchling", "src", ()),
    ("hatchling flat", "hatchling", ".", ()),
    ("flit src", "flit", "src", ()),
    ("poetry src", "poetry", "src", ()),
    ("pdm src", "pdm", "src", ()),
    ("uv_build src", "uv_build", "src", ()),
    ("no install, flat", "", ".", ()),
]
TEST = """
import subprocess, sys
from pathlib import Path
import shop

def test_where():
    child = subprocess.run([sys.executable, "-c", "import shop; print(shop.__file__)"], capture_output=True, text=True, check=True)
    Path(__file__).with_name("where.txt").write_text(shop.__file__ + "\\n" + child.stdout.strip())
"""
FACTS = """
import importlib.util, json, sys
def pytest_load_initial_conftests(early_config):
    spec = importlib.util.spec_from_file_location("import_roots", {source!r})
    module = importlib.util.module_from_spec(spec)
    sys.modules["import_roots"] = module
    spec.loader.exec_module(module)
    with open({out!r}, "w") as file:
        json.dump(module.collect_facts(), file)
"""


def run(*argv: object, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    plain = {
        k: os.environ[k] for k in ("PATH", "HOME", "PIP_INDEX_URL", "PIP_CONFIG_FILE") if k in os.environ
    }
    return subprocess.run(
        [str(a) for a in argv], cwd=cwd, env=plain | (env or {}), capture_output=True, text=True, check=False
    )


def make_project(top: Path, backend: str, inside: str) -> None:
    package = top / inside / "shop"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""A shop."""\n__version__ = "1.0"\n')
    (top / "tests").mkdir()
    (top / "tests/test_where.py").write_text(TEST)
    (top / ".gitignore").write_text("*.egg-info/\nbuild/\nwhere.txt\n__pycache__/\n")
    project = (
        '[project]\nname = "shop"\nversion = "1.0"\ndescription = "A shop."\nrequires-python = ">=3.11"\n'
    )
    if backend:
        requires, name = BUILD[backend]
        (top / "pyproject.toml").write_text(
            f'[build-system]\n{requires}\nbuild-backend = "{name}"\n\n{project}'
        )
    for argv in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "start"],
    ):
        run("git", *argv, cwd=top)


def where(copy: Path) -> str:
    """`copy`, `ORIGINAL`, or what went wrong."""
    said = copy / "tests/where.txt"
    if not said.exists():
        return "import error"
    lines = said.read_text().split("\n")
    said.unlink()
    kinds = ["copy" if Path(line).is_relative_to(copy.resolve()) else "ORIGINAL" for line in lines if line]
    return kinds[0] if len(set(kinds)) == 1 and len(kinds) == 2 else "/".join(kinds)


def measure(
    name: str, backend: str, inside: str, pip: tuple[str, ...], python: Path, work: Path
) -> list[str]:
    top = work / name.replace(" ", "_").replace(",", "") / "project"
    make_project(top, backend, inside)
    run(python, "-m", "pip", "uninstall", "-q", "-y", "shop", cwd=top)
    if backend:
        done = run(
            python,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-build-isolation",
            "--no-deps",
            "-e",
            ".",
            *pip,
            cwd=top,
            env={
                "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"
            },  # uv_build calls a program of its own
        )
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.strip() and "[notice]" not in line]
            return [name, "install failed", "", "", errors[-1][:60]]
    copy = top.parent / "worktree"
    run("git", "worktree", "add", "-q", "--detach", copy, cwd=top)
    row = [name]
    quiet = ("-q", "-p", "no:cacheprovider")
    run(python.parent / "pytest", *quiet, cwd=copy)
    row.append(where(copy))
    run(python, "-m", "pytest", *quiet, cwd=copy)
    row.append(where(copy))
    starts = {"pytest": [python.parent / "pytest"], "python -m pytest": [python, "-m", "pytest"]}
    if not backend:
        starts.pop("pytest")  # without an install, plain pytest cannot import the package at all
    found = {how: ours(top, python, start, quiet) for how, start in starts.items()}
    row.append(", ".join(sorted({kind for kind, _ in found.values()})))
    row.append("; ".join(f"{how}: {' '.join(roots) or 'none'}" for how, (_, roots) in found.items()))
    return row


def ours(top: Path, python: Path, start: list[object], quiet: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Collect the facts in the user's own pytest, lend a workspace, run as the harness runs."""
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        source = Path(import_roots.__file__)
        (scratch / "collect_import_facts.py").write_text(
            FACTS.format(source=str(source), out=str(scratch / "facts.json"))
        )
        run(
            *start,
            *quiet,
            "-p",
            "collect_import_facts",
            "--collect-only",
            cwd=top,
            env={"PYTHONPATH": directory},
        )
        facts = json.loads((scratch / "facts.json").read_text())
        facts["path"] = [p for p in facts["path"] if p != str(scratch.resolve())]
        roots = import_roots.from_facts(top, top, facts).roots
        pool = Pool(scratch / "pool")
        with pool.lease(take(open_repository(top), scratch / "store")) as workspace:
            env = {
                "PYTHONPATH": os.pathsep.join(str(workspace / root) for root in roots),
                "PYTHONHASHSEED": "0",
            }
            flags = ("-P", "-s", "-X", f"pycache_prefix={scratch / 'pycache'}")
            run(python, *flags, "-m", "pytest", *quiet, cwd=workspace, env=env)
            kind = where(workspace)
        pool.close()
        return kind, roots


def main() -> None:
    parser = argparse.ArgumentParser(description=textwrap.dedent(__doc__ or ""))
    parser.add_argument("--keep", type=Path, help="work in this directory and leave it")
    parser.add_argument("--only", metavar="WORD", default="", help="layouts whose name holds this word")
    args = parser.parse_args()
    work = args.keep or Path(tempfile.mkdtemp(prefix="import-layouts-"))
    work.mkdir(exist_ok=True)
    venv = work / "venv"
    if not venv.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        needed = [
            "pytest",
            "setuptools",
            "wheel",
            "hatchling",
            "editables",
            "flit_core",
            "poetry-core",
            "pdm-backend",
            "uv_build",
        ]
        subprocess.run([venv / "bin/python", "-m", "pip", "install", "-q", *needed], check=True)
    print("| layout | worktree, pytest | worktree, python -m pytest | our workspace | import roots found |")
    print("|---|---|---|---|---|")
    wrong = 0
    chosen = [layout for layout in LAYOUTS if args.only in layout[0]]
    for layout in chosen:
        row = measure(*layout, venv / "bin/python", work)
        wrong += row[3] != "copy"
        print("| " + " | ".join(row) + " |", flush=True)
    print(f"\nruns of ours on the wrong tree: {wrong} of {len(chosen)} layouts")
    if not args.keep:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
