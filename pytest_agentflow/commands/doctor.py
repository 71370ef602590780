"""What works on this machine, and what is there to do where something does not?"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_agentflow.adapters import sandbox


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report. `needed` checks decide the exit code."""

    name: str
    works: bool
    detail: str
    advice: str = ""
    needed: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--verbose", action="store_true", help="what each sandbox promises and what it does not"
    )


def run(args: argparse.Namespace) -> int:
    """0 when everything that a run needs works here, else 1."""
    checks = list(examine())
    for check in checks:
        print(f"{'ok' if check.works else '--':3} {check.name:12} {check.detail}")  # noqa: T201
        if check.advice and not check.works:
            print(f"    {'':12} → {check.advice}")  # noqa: T201
    if args.verbose:
        for rung in sandbox.ladder():
            print(f"\n{rung.name}\n  promises: {rung.guarantees}\n  does not: {rung.lacks}")  # noqa: T201
    print(f"\n{_verdict()}")  # noqa: T201
    return 0 if all(check.works for check in checks if check.needed) else 1


def examine() -> Iterator[Check]:
    """Everything a run depends on, tried."""
    version = sys.version_info
    yield Check("python", version >= (3, 11), platform.python_version(), "Use Python 3.11 or newer.", True)
    yield _system()
    yield _git()
    yield Check(
        "fork",
        hasattr(os, "fork"),
        "yes" if hasattr(os, "fork") else "no",
        "Searches and triage run cold, and slower.",
    )
    for rung in sandbox.ladder():
        if rung.name != "none":
            yield Check(rung.name, rung.works, rung.why, rung.advice)
    strongest = any(r.works for r in sandbox.ladder() if r.name != "none")
    yield Check(
        "sandbox",
        strongest,
        "auto takes the first that works" if strongest else "none works",
        "--agent-sandbox none",
        True,
    )
    yield Check("processes", shutil.which("prlimit") is not None, "prlimit " + (shutil.which("prlimit") or "is missing"),
                "Install util-linux: without it bwrap sets no memory and file limits.")  # fmt: skip
    yield _prices()


def _system() -> Check:
    name = platform.system()
    linux = name == "Linux"
    advice = f"No sandbox of ours confines code on {name}: model and command agents are refused without --agent-unsafe."
    return Check("system", linux, f"{name} {platform.release()}", advice)


def _git() -> Check:
    program = shutil.which("git")
    if program is None:
        return Check("git", False, "not found", "Install git 2.30 or newer.", True)
    told = subprocess.run([program, "version"], capture_output=True, text=True, check=False).stdout.split()
    version = told[2] if len(told) > 2 else "?"
    numbers = [int(n) for n in version.split(".")[:2] if n.isdigit()]
    return Check("git", numbers >= [2, 30], version, "Install git 2.30 or newer.", True)


def _prices() -> Check:
    try:
        from importlib.metadata import version

        from genai_prices import data

        count = sum(len(provider.models) for provider in data.providers)
    except (ImportError, AttributeError) as problem:
        return Check(
            "prices",
            False,
            f"genai-prices: {problem}",
            "Reinstall genai-prices, or give prices in [tool.agentflow.prices].",
        )
    return Check("prices", count > 0, f"genai-prices {version('genai-prices')}, {count} models")


def _verdict() -> str:
    working = [r.name for r in sandbox.ladder() if r.works and r.name != "none"]
    if working:
        return f"Project code will run in {working[0]}."
    return "Nothing here can confine project code: runs need --agent-sandbox none, and model agents --agent-unsafe."
