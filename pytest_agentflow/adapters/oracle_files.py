"""How does each producer run, report, name and rerun its tests? One TOML file per producer, `oracles/NAME.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pytest_agentflow.errors import AgentflowError

VERSION = 1
_PACKAGE = Path(__file__).resolve().parents[1]
_FOLDERS = (_PACKAGE / "data" / "oracles", _PACKAGE.parent / "oracles")  # in a wheel; in a source checkout
_FIELDS = ("classname", "name", "file", "suites", "suite")
_REPEATS = ("retries", "attempts", "copies")
_COUNTS = ("cases", "tests", "runs", "subtests", "none")


@dataclass(frozen=True, slots=True)
class Oracle:
    """One way of judging. Meanings and examples: docs/reference/oracles.md."""

    name: str
    title: str
    identity: tuple[str, ...]  # fields of a case that make its key, outermost first
    repeats: str  # what a second case of one key is: "retries", "attempts" or "copies"
    run: str = ""  # shell command; {report} is where the report goes
    report: tuple[str, ...] = ()  # where it usually is, as globs
    rerun: str = ""  # command for a selection; {tests} are the selectors
    selector: str = ""  # how one test is named to the runner, from {classname}, {name}, {file}, {nodeid}
    counts: str = "cases"  # what the tests attribute counts: docs/reference/oracles.md
    passed_exits: tuple[int, ...] = (0,)
    failed_exits: tuple[int, ...] = (1,)
    protected: tuple[str, ...] = ()  # paths that decide what a test means
    detect: Mapping[str, str] = field(default_factory=dict)

    def recognises(self, facts: Mapping[str, str]) -> bool:
        """True if every pattern of `detect` is found in the report's facts; never without a pattern."""
        return bool(self.detect) and all(
            re.search(pattern, facts.get(name, "")) for name, pattern in self.detect.items()
        )


GENERIC = Oracle(
    "generic", "any JUnit XML", ("classname", "name"), "copies", failed_exits=tuple(range(1, 126))
)


@cache
def shipped() -> Mapping[str, Oracle]:
    """The oracles that came with the package, by name, in order of their file names."""
    folder = next((f for f in _FOLDERS if f.is_dir()), None)
    files = sorted(folder.glob("*.toml")) if folder else ()
    return {oracle.name: oracle for oracle in map(load, files)}


def find(name: str) -> Oracle:
    """A shipped oracle by name, or one of your own by path."""
    if name == GENERIC.name:
        return GENERIC
    if name.endswith(".toml"):
        return load(Path(name))
    if name not in shipped():
        raise AgentflowError(
            f"there is no oracle named {name!r}",
            f"use one of {', '.join([*shipped(), GENERIC.name])}, or the path of a .toml file",
            exit_code=3,
        )
    return shipped()[name]


def detect(facts: Mapping[str, str]) -> Oracle:
    """The first shipped oracle that recognises a report; else the generic one."""
    return next((o for o in shipped().values() if o.recognises(facts)), GENERIC)


def load(path: Path) -> Oracle:
    """Read one definition; a mistake is named with its file and key."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _bad(path, str(getattr(error, "strerror", None) or error)) from None
    if table.pop("version", None) != VERSION:
        raise _bad(path, f"version must be {VERSION}")
    unknown = set(table) - set(Oracle.__dataclass_fields__)
    if unknown:
        raise _bad(path, f"unknown key {sorted(unknown)[0]!r}")
    for key in ("name", "identity", "repeats"):
        if not table.get(key):
            raise _bad(path, f"{key} is missing")
    oracle = _build(path, table)
    if not set(oracle.identity) <= set(_FIELDS):
        raise _bad(path, f"identity knows {', '.join(_FIELDS)}")
    if oracle.repeats not in _REPEATS:
        raise _bad(path, f"repeats is one of {', '.join(_REPEATS)}")
    if oracle.counts not in _COUNTS:
        raise _bad(path, f"counts is one of {', '.join(_COUNTS)}")
    return oracle


def _build(path: Path, table: dict[str, object]) -> Oracle:
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    for key, kind in (("detect", dict), ("identity", tuple), ("protected", tuple), ("failed_exits", tuple)):
        if key in values and not isinstance(values[key], kind):
            raise _bad(path, f"{key} has the wrong type")
    for name, pattern in table.get("detect", {}).items():  # type: ignore[attr-defined]
        try:
            re.compile(pattern)
        except (re.error, TypeError):
            raise _bad(path, f"detect.{name} is no regular expression") from None
    return Oracle(**{"title": values["name"], **values})  # type: ignore[arg-type]


def _bad(path: Path, what: str) -> AgentflowError:
    return AgentflowError(f"oracle file {path.name}: {what}", "see docs/reference/oracles.md", exit_code=3)


def selectors(oracle: Oracle, tests: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """How the runner is told to run these tests again."""
    return tuple(oracle.selector.format(**test) for test in tests)
