"""What can the model do? Look at and edit files of its workspace, run a shell in the sandbox, run visible tests, give up."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pytest_agentflow.adapters.warm_tests import WarmTests
from pytest_agentflow.agents import prompt
from pytest_agentflow.agents import workspace_files as files
from pytest_agentflow.agents.base import Bench, Brief
from pytest_agentflow.agents.prompt import clean, cut
from pytest_agentflow.agents.supervise import supervise
from pytest_agentflow.core.model import SessionRecord, TestResult
from pytest_agentflow.core.redact import Redactor

OUTPUT_CAP = 30_000  # characters of one tool result
FAILURE_CAP = 3_000
BASH_SECONDS = 120.0
WARM_SECONDS = 60.0  # for tests that run in a fork; what takes longer is run again in a session of its own
Json = Mapping[str, Any]

EDITOR, BASH, RUN_TESTS, GIVE_UP = "str_replace_based_edit_tool", "bash", "run_tests", "give_up"

# The order and the bytes of this list are part of the cached prefix: they never depend on the attempt.
DEFINITIONS: tuple[Json, ...] = (
    {"type": "text_editor_20250728", "name": EDITOR},
    {"type": "bash_20250124", "name": BASH},
    {
        "name": RUN_TESTS,
        "description": "Run tests on the workspace as it is now and see each outcome with a short traceback. Without "
        "arguments: the failing tests of the task. Other tests by node id, only those named in the task.",
        "input_schema": {
            "type": "object",
            "properties": {"nodeids": {"type": "array", "items": {"type": "string"}}},
            "additionalProperties": False,
        },
    },
    {
        "name": GIVE_UP,
        "description": "End the work because a test and the code disagree and the test looks wrong or cannot be met "
        "honestly. This is a good result when it is true.",
        "input_schema": {
            "type": "object",
            "properties": {
                "test": {"type": "string", "description": "node id of the test"},
                "code": {
                    "type": "string",
                    "description": "the code that disagrees, as path:line or path::function",
                },
                "reason": {
                    "type": "string",
                    "description": "what each side demands, and why both cannot hold",
                },
            },
            "required": ["test", "code", "reason"],
            "additionalProperties": False,
        },
    },
)
HINTS = """
Tools: file paths are relative to the workspace. Each bash command runs in a fresh shell that starts in the workspace, has
no network, and is stopped after two minutes; its background processes are stopped when it returns.
"""


class BadInput(Exception):
    """A tool call whose input does not fit; the message is for the model."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one tool call gave."""

    text: str
    error: bool = False


@dataclass
class ToolBox:
    """The tools of one attempt. `gave_up` holds the evidence once the model has given up; `over` ends the conversation."""

    brief: Brief
    bench: Bench
    redactor: Redactor
    deadline: float  # monotonic seconds
    gave_up: str = ""
    over: bool = False
    screened: dict[str, str] = field(default_factory=dict)  # last screened outcome per visible test
    _runs: int = 0
    _warm: WarmTests | None = None
    system: ClassVar[str] = prompt.SYSTEM + HINTS
    definitions: ClassVar[tuple[Json, ...]] = DEFINITIONS

    def task(self) -> str:
        """The first message, without secrets."""
        return self.redactor.text(prompt.task(self.brief))

    def calls(self) -> Mapping[str, Callable[[Json], str]]:
        """What each tool name does."""
        return {EDITOR: self._edit, BASH: self._bash, RUN_TESTS: self._run_tests, GIVE_UP: self._give_up}

    def run(self, name: str, arguments: Any) -> Result:
        """Carry out one call. Whatever the model got wrong comes back as an error result; nothing is raised."""
        known = self.calls()
        if name not in known:
            return Result(f"unknown tool {cut(name, 100)!r}; the tools are {', '.join(known)}", error=True)
        if not isinstance(arguments, Mapping):
            return Result(f"{name} needs an object as its input", error=True)
        try:
            text, failed = known[name](arguments), False
        except (BadInput, files.Refused) as problem:
            text, failed = str(problem), True
        except OSError as problem:
            text, failed = f"{name} failed: {problem.strerror or problem}", True
        return Result(self._shown(text), failed)

    def _shown(self, text: str) -> str:
        """Without escape codes, secrets and this machine's paths, so that the same run reads the same twice."""
        text = clean(text).replace(f"{os.path.realpath(self.brief.workspace)}/", "")
        return cut(self.redactor.text(text.replace(f"{self.brief.workspace}/", "")), OUTPUT_CAP)

    def _edit(self, arguments: Json) -> str:
        command = _text(arguments, "command")
        relative = files.locate(self.brief.workspace, _text(arguments, "path"))
        if command == "view":
            return self._view(relative, arguments.get("view_range"))
        why = files.refusal(self.brief.workspace, relative, self.brief.policy)
        if why:
            raise BadInput(f"{relative}: {why}; the edit was not made")
        if command == "create":
            files.write(self.brief.workspace, relative, _text(arguments, "file_text"))
            return f"wrote {relative}"
        before = files.read(self.brief.workspace, relative)
        if command == "str_replace":
            after = _replaced(before, _text(arguments, "old_str"), _text(arguments, "new_str", default=""))
        elif command == "insert":
            line, new = arguments.get("insert_line"), arguments.get("insert_text", arguments.get("new_str"))
            after = _inserted(before, line, new)
        else:
            raise BadInput(f"unknown command {cut(command, 50)!r}; use view, create, str_replace or insert")
        files.write(self.brief.workspace, relative, after)
        return f"edited {relative}"

    def _view(self, relative: str, view_range: Any) -> str:
        if files.is_folder(self.brief.workspace, relative):
            return files.listing(self.brief.workspace, relative)
        lines = files.read(self.brief.workspace, relative).splitlines()
        first, last = 1, len(lines)
        if view_range is not None:
            if not (
                isinstance(view_range, list)
                and len(view_range) == 2
                and all(type(n) is int for n in view_range)
            ):
                raise BadInput("view_range must be [first, last]")
            first, last = (
                max(1, view_range[0]),
                len(lines) if view_range[1] < 0 else min(view_range[1], len(lines)),
            )
        return (
            "\n".join(f"{n:6}\t{line}" for n, line in enumerate(lines[first - 1 : last], first)) or "(empty)"
        )

    def _bash(self, arguments: Json) -> str:
        if arguments.get("restart"):
            return "every command already runs in a fresh shell"
        command = _text(arguments, "command")
        # Below the attempt's own scratch: what is killed between here and its removal goes with the run.
        home = Path(tempfile.mkdtemp(prefix="shell-", dir=self.brief.config.get("scratch")))
        try:
            process = self.bench.sandboxed(
                ["bash", "-c", command],
                env={**_shell_env(), "HOME": str(home), "TMPDIR": str(home)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                network=False,
                writable=(home,),
            )
            left = max(0.1, min(BASH_SECONDS, self.deadline - time.monotonic()))
            ended = supervise(process, deadline=left, cancelled=self.bench.cancelled)
        finally:
            shutil.rmtree(home, ignore_errors=True)
        text = ended.stdout.decode("utf-8", "replace").replace(str(home), "$HOME")
        if ended.why != "exited":
            raise BadInput(f"{cut(text, OUTPUT_CAP - 200)}\n(stopped: {ended.why})")
        return text + (f"\n(exit code {ended.exit_code})" if ended.exit_code else "") or "(no output)"

    def _run_tests(self, arguments: Json) -> str:
        visible = set(self.brief.attempt.visible) | set(self.brief.passing_seconds)
        wanted = arguments.get("nodeids") or list(self.brief.attempt.visible)
        if not isinstance(wanted, list) or not all(isinstance(n, str) for n in wanted):
            raise BadInput("nodeids must be a list of strings")
        unknown = [n for n in wanted if n not in visible]
        if unknown:
            raise BadInput(f"not among the tests of this task: {', '.join(unknown[:3])}")
        timeout = max(1.0, self.deadline - time.monotonic())
        warm = self._warm_tests()
        record = warm.run(wanted, min(timeout, WARM_SECONDS)) if warm else None
        how = "in a fork of a prepared session"
        if record is None:
            record = self.bench.run_tests(wanted, timeout=timeout)
            how = f"in a session of its own{f': {warm.why}' if warm else ''}"
        self.screened.update({n: str(r.outcome) for n, r in record.results.items()})
        return f"{describe(record, wanted)}\n(run {how})"

    def _warm_tests(self) -> WarmTests | None:
        """Servers for this attempt's tests, started with the second run: one run alone is cheaper cold."""
        self._runs += 1
        spec, scratch = self.brief.config.get("run_spec"), self.brief.config.get("scratch")
        if self._warm is None and self._runs > 1 and spec is not None and scratch is not None:
            ids = (*self.brief.attempt.visible, *self.brief.passing_seconds)
            self._warm = WarmTests(spec, self.brief.workspace, Path(scratch) / "warm-tests", ids)
        return self._warm

    def close(self) -> None:
        """End what the tools started."""
        if self._warm is not None:
            self._warm.close()

    def _give_up(self, arguments: Json) -> str:
        test, code, reason = (_text(arguments, name) for name in ("test", "code", "reason"))
        self.over = True
        self.gave_up = self.redactor.text(clean(f"{test} against {code}: {reason}"))[:8_000]
        return "noted; the work ends here"


def describe(record: SessionRecord, wanted: list[str]) -> str:
    """Outcomes first, then short tracebacks, without durations: the same run reads the same."""
    lines = [f"{n}: {_outcome(record.results.get(n))}" for n in wanted]
    if record.problem:
        lines.append(f"the run itself cannot be trusted: {record.problem}")
        lines.append(cut(record.output_tail, FAILURE_CAP))
    for failure in record.collect_errors[:3]:
        lines.append(f"collection error {failure.kind}:\n{cut(failure.text or failure.message, FAILURE_CAP)}")
    for nodeid in wanted:
        result = record.results.get(nodeid)
        if result and result.failure:
            shown = prompt.short(result.failure.text) or f"{result.failure.kind}: {result.failure.message}"
            lines.append(f"--- {nodeid}\n{cut(shown, FAILURE_CAP)}")
    return re.sub(r"0x[0-9a-f]{6,}", "0x…", "\n".join(lines))


def _outcome(result: TestResult | None) -> str:
    return str(result.outcome) if result else "no result"


def _text(arguments: Json, name: str, default: str | None = None) -> str:
    value = arguments.get(name, default)
    if not isinstance(value, str):
        raise BadInput(f"{name} is missing or not a string")
    return value


def _replaced(before: str, old: str, new: str) -> str:
    found = before.count(old) if old else 0
    if found != 1:
        raise BadInput(f"old_str occurs {found} times; it must occur exactly once")
    return before.replace(old, new)


def _inserted(before: str, line: Any, new: Any) -> str:
    lines = before.splitlines(keepends=True)
    if type(line) is not int or not 0 <= line <= len(lines) or not isinstance(new, str):
        raise BadInput(f"insert needs insert_line in 0..{len(lines)} and insert_text")
    if line and not lines[line - 1].endswith("\n"):
        lines[line - 1] += "\n"
    return "".join([*lines[:line], new if new.endswith("\n") else f"{new}\n", *lines[line:]])


def _shell_env() -> dict[str, str]:
    return {n: os.environ[n] for n in ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV") if n in os.environ}
