"""Which renderings of a run are written, and which could not be? One that fails takes no other with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_agentflow.adapters.files import write_whole
from pytest_agentflow.core.model import TestResult
from pytest_agentflow.report.model import RunReport


@dataclass(frozen=True, slots=True)
class Written:
    """Files by name, and for each that is missing a line that says why."""

    paths: Mapping[str, Path]
    problems: tuple[str, ...] = ()


def write(
    run: Path,
    report: RunReport,
    collected: Sequence[str] = (),
    results: Mapping[str, TestResult] | None = None,
    job_summary: Path | None = None,
) -> Written:
    """Write every rendering into the run directory.

    `collected` and `results` are the final state of the suite for `junit.xml`; without results none is written.
    `job_summary` is the file that a CI service shows on the job's page; it is appended to.
    """
    from pytest_agentflow.report import job_summary as summary
    from pytest_agentflow.report import junit, transcript_html, transcript_json, transcript_markdown

    makers: dict[str, Callable[[], str]] = {
        "transcript.json": lambda: transcript_json.render(report),
        "transcript.md": lambda: transcript_markdown.render(report),
        "transcript.html": lambda: transcript_html.render(report),
    }
    if results is not None:
        makers["junit.xml"] = lambda: junit.render(collected, results, report)
    places = {name: run / name for name in makers}
    if job_summary is not None:
        makers["the job summary"], places["the job summary"] = lambda: summary.render(report), job_summary
    problems = {
        name: _put(make, places[name], append=places[name] == job_summary) for name, make in makers.items()
    }
    return Written(
        {name: path for name, path in places.items() if not problems[name]},
        tuple(f"{name} could not be written: {why}" for name, why in problems.items() if why),
    )


def _put(make: Callable[[], str], path: Path, *, append: bool) -> str:
    """Render and write one of them; returns what went wrong, or nothing."""
    try:
        content = make().encode("utf-8", "backslashreplace")
        if append:
            with path.open("ab") as stream:
                stream.write(content)
        else:
            write_whole(path, content)
    except Exception as error:  # noqa: BLE001 - the summary on the terminal must come, whatever a rendering does
        return f"{type(error).__name__}: {error}"
    return ""
