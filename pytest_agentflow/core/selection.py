"""Which of the user's pytest arguments choose tests, which say how to run them, and which must not reach a child session?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# option -> number of values that follow it
_SELECTING = {
    "-k": 1,
    "-m": 1,
    "--deselect": 1,
    "--ignore": 1,
    "--ignore-glob": 1,
    "--pyargs": 0,
    "--lf": 0,
    "--last-failed": 0,
}
_XDIST = {"-n": 1, "--numprocesses": 1, "--dist": 1, "--maxprocesses": 1, "--tx": 1, "-d": 0}
# Output, stopping early and debuggers belong to the user's terminal, not to a child whose results come over a channel.
_DROPPED = {
    "-x": 0, "--exitfirst": 0, "--maxfail": 1, "--pdb": 0, "--trace": 0, "-s": 0, "--sw": 0, "--stepwise": 0, "--stepwise-skip": 0,
    "--junitxml": 1, "--junit-xml": 1, "--rootdir": 1, "-c": 1, "--config-file": 1, "--color": 1, "--cache-clear": 0, "--ff": 0, "--nf": 0,
    "--pass-threshold": 1, "--quarantine": 1, "--tb": 1, "--durations": 1, "--capture": 1, "--co": 0, "--collect-only": 0,
    "--html": 1, "--report-log": 1, "--full-trace": 0,
}  # fmt: skip
# Options of common plugins that take a value, so that the value is not mistaken for a path.
_VALUED = {"-p", "-o", "--override-ini", "-W", "--pythonwarnings", "--import-mode", "--confcutdir", "--timeout", "--reruns", "--cov-config",
           "--basetemp", "--log-level", "--asyncio-mode", "--ds", "--randomly-seed", "--hypothesis-seed", "--hypothesis-profile"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Arguments:
    """The user's arguments, sorted by what they do. Every field keeps the user's order and spelling."""

    selecting: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    xdist: tuple[str, ...] = ()
    other: tuple[str, ...] = ()


def sort_arguments(argv: Sequence[str], known_paths: Sequence[str]) -> Arguments:
    """Sort pytest's command line. `known_paths` is what pytest's own parser took as paths, which settles doubt."""
    sorted_: dict[str, list[str]] = {"selecting": [], "paths": [], "xdist": [], "other": [], "dropped": []}
    paths = list(known_paths)
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        name = word.partition("=")[0]
        if word == "--":
            sorted_["paths"] += rest
            break
        if not word.startswith("-") or word == "-":
            sorted_["paths" if word in paths or not paths else "other"].append(word)
            continue
        room, values = _room(name, word)
        taken = rest[:values] if "=" not in word else []
        del rest[: len(taken)]
        sorted_[room] += [word, *taken]
    return Arguments(*(tuple(sorted_[room]) for room in ("selecting", "paths", "xdist", "other")))


def _room(name: str, word: str) -> tuple[str, int]:
    for room, table in (("selecting", _SELECTING), ("xdist", _XDIST), ("dropped", _DROPPED)):
        if name in table:
            return room, table[name]
        short = word[:2]
        if not word.startswith("--") and len(word) > 2 and short in table and table[short]:
            return room, 0  # a value glued to a short option: -n4, -kname
    if not word.startswith("--") and set(word[1:]) <= set("vqxsl"):
        return "dropped", 0  # bundles such as -xvs
    return "other", 1 if name in _VALUED else 0
