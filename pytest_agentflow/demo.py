"""What does `pytest --agent-fix` do to a red suite, on this machine, with no key and no network?"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
PLACES = (PACKAGE.parent / "fixtures" / "projects", PACKAGE / "data" / "projects")  # checkout, wheel
PRIVATE = ("ANTHROPIC_", "GIT_", "PYTEST_")  # the demo asks no model and depends on nobody's settings
NOISE = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".agentflow")


def main(argv: list[str] | None = None) -> int:
    """Copy a sample project to a temporary git repository and repair it there; the exit code is pytest's."""
    parser = argparse.ArgumentParser(prog="python -m pytest_agentflow.demo", description=main.__doc__)
    parser.add_argument(
        "--project", default="cornershop", help="a directory of fixtures/projects (default: cornershop)"
    )
    parser.add_argument("--remove", action="store_true", help="remove the copy afterwards")
    parser.add_argument("options", nargs="*", help="more options for pytest, after --")
    args = parser.parse_args(argv)
    top = prepare(args.project, Path(tempfile.mkdtemp(prefix="agentflow-demo-")) / args.project)
    env = _environment()
    try:
        command = ["pytest", "--agent-fix", *args.options]
        _say(f"{top}$ {' '.join(command)}")
        code = _run([sys.executable, "-m", *command], top, env)
        _say(f"\n{top}$ git diff")
        subprocess.run(["git", "--no-pager", "diff"], cwd=top, env=env, check=False)
        if not args.remove:
            _say(f"\nThe project stays in {top}; its transcripts are in .agentflow/runs/ there.")
    finally:
        if args.remove:
            shutil.rmtree(top.parent, ignore_errors=True)
    return code


def prepare(project: str, top: Path) -> Path:
    """A git repository at `top` with one commit that holds the sample project."""
    source = next((place / project for place in PLACES if (place / project).is_dir()), None)
    if source is None:
        raise SystemExit(f"No sample project {project!r} in {PLACES[0]}.\nTry --project cornershop.")
    shutil.copytree(source, top, ignore=NOISE)
    identity = ["-c", "user.name=demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false"]
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        [*identity, "commit", "-q", "-m", "A red suite"],
    ):
        subprocess.run(["git", *command], cwd=top, env=_environment(), check=True)
    return top


def _run(command: list[str], top: Path, env: dict[str, str]) -> int:
    """Run to the end; being asked to stop is passed on, so that the run can put its house in order."""
    with subprocess.Popen(command, cwd=top, env=env) as process:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the child too
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        return process.wait()


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(PRIVATE)}
    return {
        **kept,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
