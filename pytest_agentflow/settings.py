"""Which knobs are there, what are their defaults, and is this value one of them?

`OPTIONS` is the single table: pytest's options, ini keys, `[tool.agentflow]` keys and docs/reference/options.md come from it.
Precedence: default, `[tool.agentflow]` (names without `agent-`), ini, command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_agentflow.core.durations import parse_duration
from pytest_agentflow.errors import AgentflowError


@dataclass(frozen=True, slots=True)
class Option:
    """One knob. `kind`: flag, value, list (repeatable) or optional (a value may follow)."""

    name: str  # as on the command line, without dashes in front
    kind: str
    default: Any
    help: str
    metavar: str = ""
    convert: Callable[[str], Any] = str

    @property
    def dest(self) -> str:
        return self.name.replace("-", "_")


def _number(low: float, high: float = float("inf"), kind: type = int) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a number") from None
        if not low <= value <= high:
            raise ValueError(f"{text} is out of range ({low} to {high})")
        return value

    return convert


def _one_of(*names: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text not in names:
            raise ValueError(f"{text!r} is none of {', '.join(names)}")
        return text

    return convert


OPTIONS: tuple[Option, ...] = (
    Option("agent-fix", "flag", False, "turn failing tests into verified fixes"),
    Option(
        "agent-plan", "flag", False, "show targets, suspects, attempts and worst-case spend; call nothing"
    ),
    Option(
        "agent",
        "value",
        "auto",
        "search, anthropic, a configured command agent or a plugin's; several names are a cascade",
        "NAME[,NAME]",
    ),
    Option("agent-model", "value", None, "model of the model agent", "MODEL"),
    Option("agent-effort", "value", None, "effort of the model agent", "LEVEL"),
    Option(
        "agent-lanes",
        "value",
        None,
        "attempts in flight (default: xdist's -n, else 16 for a paid agent and one per core for the search)",
        "N",
        _number(1, 256),
    ),
    Option("agent-max-attempts", "value", 1000, "hard cap of attempts per run", "N", _number(1)),
    Option("agent-rounds", "value", 5, "rounds of observe, repair and integrate", "N", _number(1)),
    Option("agent-retries", "value", 3, "attempts per unit, each in a fresh context", "N", _number(1)),
    Option("agent-budget-usd", "value", None, "hard cap in dollars", "USD", _number(0, kind=float)),
    Option("agent-budget-tokens", "value", None, "hard cap in tokens", "N", _number(0)),
    Option(
        "agent-deadline", "value", None, "hard cap in wall-clock time for the run", "TIME", parse_duration
    ),
    Option(
        "agent-attempt-timeout",
        "value",
        None,
        "wall-clock time of one attempt: 900 s unless set; the search takes 90 s unless set, and at most 60 s before another agent",
        "TIME",
        parse_duration,
    ),
    Option(
        "agent-suite-timeout",
        "value",
        1800.0,
        "wall-clock time of one run of the suite",
        "TIME",
        parse_duration,
    ),
    Option(
        "agent-test-timeout",
        "value",
        300.0,
        "how long a suite may be silent before its running test is ended",
        "TIME",
        parse_duration,
    ),
    Option(
        "agent-reviewers",
        "value",
        None,
        "adversarial reviewers per patch (default: 2 for a paid agent, else 0)",
        "N",
        _number(0, 16),
    ),
    Option(
        "agent-survey",
        "value",
        20.0,
        "how long to try small edits on failing tests before anything is repaired, to see where the faults are; 0: not at all",
        "TIME",
        parse_duration,
    ),
    Option(
        "agent-holdout",
        "value",
        0.25,
        "share of covering tests hidden from the agent",
        "F",
        _number(0, 0.9, float),
    ),
    Option("agent-scope", "list", (), "what may be edited (default: sources under the import roots)", "GLOB"),
    Option(
        "agent-build",
        "value",
        None,
        "a build that must run clean before the suite; its failures are targets too",
        "CMD",
    ),
    Option(
        "agent-oracle",
        "list",
        (),
        "a further oracle that must agree: a command, or module:callable of an installed plugin",
        "NAME",
    ),
    Option(
        "agent-flaky",
        "flag",
        False,
        "flaky tests may be targets, under a rerun count computed from their rate",
    ),
    Option(
        "agent-context",
        "list",
        ("AGENTS.md", "CLAUDE.md", "docs/adr"),
        "notes for the agent, as untrusted data, size-capped",
        "PATH",
    ),
    Option(
        "agent-apply",
        "value",
        "tree",
        "where accepted patches go: tree, branch or none",
        "WHERE",
        _one_of("tree", "branch", "none"),
    ),
    Option(
        "agent-resume",
        "optional",
        None,
        "continue an interrupted run (default: the last) from its journal",
        "RUN",
    ),
    Option(
        "agent-sandbox",
        "value",
        "auto",
        "auto, bwrap, landlock or none",
        "RUNG",
        _one_of("auto", "bwrap", "landlock", "none"),
    ),
    Option("agent-network", "flag", False, "open the network in verification"),
    Option("agent-unsafe", "flag", False, "allow model and command agents where no sandbox works"),
    Option("agent-plugins", "list", (), "installed modules that hold agentflow hooks", "MODULE"),
    Option(
        "agent-env", "list", (), "environment variables that the tests may see, beside the usual few", "NAME"
    ),
    Option(
        "agent-probe",
        "flag",
        False,
        "ask a model to predict a few outcomes of each unit before it is paid for (default: with more than 10 units)",
    ),
    Option("agent-confirm", "flag", False, "consent to a paid agent without being asked"),
    Option("agent-seed", "value", 0, "seed of every random choice", "N", _number(0)),
    Option(
        "agent-triage-runs",
        "value",
        2,
        "fresh reruns of each failing test on unchanged code before anything is sent after it",
        "N",
        _number(1, 1000),
    ),
    Option(
        "flaky-triage", "optional", None, "find flaky tests: what, how much, why, because of whom", "BUDGET"
    ),
)
BY_DEST = {option.dest: option for option in OPTIONS}


class Settings(Mapping[str, Any]):
    """Every knob's value by its `dest`, frozen; also readable as attributes (`settings.agent_rounds`)."""

    def __init__(self, values: Mapping[str, Any], sections: Mapping[str, Any] | None = None) -> None:
        self._values = dict(values)
        self.sections: Mapping[str, Any] = dict(
            sections or {}
        )  # nested tables of [tool.agentflow]: agents, prices, …

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(name) from None

    def to_json(self) -> dict[str, Any]:
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in self._values.items()}
        return {"values": values, "sections": dict(self.sections)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Settings:
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in data["values"].items()}
        return cls(values, data["sections"])


TABLES = (
    "agents",
    "prices",
    "budget",
    "plugins",
    "gate",
)  # of [tool.agentflow]; everything else there is an option


def convert(option: Option, raw: Any, where: str) -> Any:
    """One raw value of the command line, an ini file or TOML in its type. Raises AgentflowError naming the place."""
    if raw is None or (option.kind == "optional" and not isinstance(raw, str)):
        return raw
    if option.kind == "flag":
        if isinstance(raw, str):
            raw = raw.strip().lower() in ("1", "true", "yes", "on")
        return bool(raw)
    try:
        if option.kind == "list":
            values = raw.split() if isinstance(raw, str) else raw
            return tuple(option.convert(str(v)) for v in values)
        return option.convert(str(raw))
    except ValueError as error:
        raise AgentflowError(f"{where}: {error}.", f"See --help for --{option.name}.") from None


def resolve(
    command_line: Mapping[str, Any],
    ini: Mapping[str, Any],
    table: Mapping[str, Any],
    pyproject: str = "pyproject.toml",
) -> Settings:
    """Merge the sources. `table` is `[tool.agentflow]`; unknown names there are an error with the nearest known one."""
    values = {option.dest: option.default for option in OPTIONS}
    sections = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    for key, raw in table.items():
        if key in sections and key in TABLES:
            continue
        option = None if key in sections else _named(key)
        if option is None:
            raise AgentflowError(
                f"[tool.agentflow] in {pyproject} has no key {key!r}.", _nearest(key, key in sections)
            )
        values[option.dest] = convert(option, raw, f"[tool.agentflow] {key}")
    for source, prefix in ((ini, "ini option "), (command_line, "--")):
        for dest, raw in source.items():
            if raw is not None and dest in BY_DEST and raw is not False and raw != []:
                option = BY_DEST[dest]
                values[dest] = convert(option, raw, prefix + (option.name if prefix == "--" else dest))
    return Settings(values, sections)


def _named(key: str) -> Option | None:
    dest = key.replace("-", "_")
    return BY_DEST.get(dest) or BY_DEST.get(f"agent_{dest}")


def _nearest(key: str, is_table: bool) -> str:
    import difflib

    known = list(TABLES) if is_table else [option.name.removeprefix("agent-") for option in OPTIONS]
    close = difflib.get_close_matches(key.replace("_", "-"), known, 1)
    return f"Did you mean {close[0]!r}?" if close else "docs/reference/options.md lists the keys."


def split_arguments(argv: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Separate our options from everything else on pytest's command line.

    Returns the user's arguments without ours, and ours by `dest`. An optional value that is no value of ours
    (`--flaky-triage tests/`) stays in the selection.
    """
    rest: list[str] = []
    ours: dict[str, Any] = {}
    words = iter(range(len(argv)))
    by_flag = {f"--{option.name}": option for option in OPTIONS}
    for n in words:
        flag, equals, attached = argv[n].partition("=")
        option = by_flag.get(flag)
        if option is None:
            if argv[n] == "--":
                return rest + list(argv[n:]), ours
            rest.append(argv[n])
            continue
        following = argv[n + 1] if n + 1 < len(argv) else None
        if option.kind == "flag":
            ours[option.dest] = True
        elif equals:
            _put(ours, option, attached)
        elif option.kind == "optional":
            if following is not None and looks_like_value(option, following):
                _put(ours, option, following)
                next(words)
            else:
                ours[option.dest] = ""
        elif following is None:
            raise AgentflowError(f"{flag} needs a value.", f"For example {flag}={option.metavar}.")
        else:
            _put(ours, option, following)
            next(words)
    return rest, ours


def _put(ours: dict[str, Any], option: Option, value: str) -> None:
    if option.kind == "list":
        ours.setdefault(option.dest, []).append(value)
    else:
        ours[option.dest] = value


def looks_like_value(option: Option, word: str) -> bool:
    """Whether the word after an optional-value option is its value: a budget or a run id, not a path or an option."""
    if option.dest == "flaky_triage":
        number = word.removesuffix("x")
        if number != word:
            return number.replace(".", "", 1).isdigit()
        try:
            parse_duration(word)
        except ValueError:
            return False
        return True
    return is_run_id(word)


def is_run_id(word: str) -> bool:
    """Run ids look like `20260101-120000-1a2b`."""
    date, _, rest = word.partition("-")
    return len(date) == 8 and date.isdigit() and bool(rest)


def frozen_differences(old: Settings, new: Mapping[str, Any]) -> Iterable[str]:
    """Which of the given settings a resumed run may not change."""
    may_change = {
        "agent_resume",
        "agent_budget_usd",
        "agent_budget_tokens",
        "agent_deadline",
        "agent_lanes",
        "agent_fix",
    }
    return [dest for dest, value in new.items() if dest not in may_change and old.get(dest) != value]
