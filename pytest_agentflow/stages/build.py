"""Does the project build, and where does it break? A build that fails is a failing test with an id of its own."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from pytest_agentflow.adapters import programs
from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.core.attempts import first_line
from pytest_agentflow.core.model import Attempt, Failure, Frame, Outcome, TestResult

BUILD = "agentflow::build"
_PLACE = re.compile(
    r"^\s*(?:File \"|(?:error|warning): )?([\w./+-]+\.\w+)(?:\", line |:|\()(\d+)", re.MULTILINE
)


def build(spec: RunSpec, tree: Path, scratch: Path, command: str, timeout: float) -> TestResult:
    """Run the build in a workspace; its failures point at the places that its output names."""
    answer = programs.ask(spec, tree, scratch, command, timeout)
    if answer.agrees:
        return TestResult(BUILD, Outcome.PASSED, answer.duration)
    frames = tuple(
        Frame(path, int(line), "<build>")
        for path, line in dict.fromkeys(_PLACE.findall(answer.output.replace(str(tree) + "/", "")))
        if (tree / path).is_file()
    )
    words = first_line(answer.output) if answer.exit_code is not None else f"did not end within {timeout:g} s"
    failure = Failure("build", "BuildError", words, frames, answer.output[-6000:])
    return TestResult(BUILD, Outcome.FAILED, answer.duration, failure=failure)


def without_build(attempt: Attempt) -> Attempt:
    """The attempt as pytest sees it: the build is judged by running it, not by a node id."""

    def kept(ids: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(i for i in ids if i != BUILD)

    return replace(
        attempt,
        visible=kept(attempt.visible),
        hidden_choose=kept(attempt.hidden_choose),
        hidden_judge=kept(attempt.hidden_judge),
        guards=kept(attempt.guards),
    )
