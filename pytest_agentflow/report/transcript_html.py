"""What does a person see of a run in a browser, with no network?"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2

from pytest_agentflow import __version__
from pytest_agentflow.report import pictures
from pytest_agentflow.report.model import Rate, RunReport, TargetReport, TargetState
from pytest_agentflow.report.terminal import (
    delivered_words,
    others_words,
    resume_command,
    run_spend_words,
    spend_words,
)
from pytest_agentflow.report.text import count, diff_lines, one_line, percent, seconds, visible

STATE_FAMILY = {
    TargetState.FIXED: "good",
    TargetState.WEAK: "weak",
    TargetState.CONTRADICTION: "open",
    TargetState.AMBIGUOUS: "open",
    TargetState.FLAKY: "weak",
    TargetState.SET_ASIDE: "weak",
    TargetState.PENDING: "weak",
    TargetState.NO_PATCH: "bad",
    TargetState.NOT_TRIED: "halt",
}


def render(report: RunReport) -> str:
    """One self-contained page: no script, no reference to anything outside it."""
    page = environment().get_template("page.html.j2")
    return page.render(
        report=report,
        version=__version__,
        headline=_headline(report),
        numbers=_numbers(report),
        facts=_facts(report),
        rate=pictures.pass_rate(report),
        time=pictures.timeline(report),
        matrix=pictures.verdicts(report),
        legend=pictures.LEGEND,
        signs=pictures.SIGNS,
        percent=lambda rate: percent(rate.passed, rate.total),
        spend=lambda a: spend_words(a.spend),
        reason_of=_reason_of(report),
    )


@cache
def environment() -> jinja2.Environment:
    """Everything that is printed is made visible first and escaped after."""
    env = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: visible(value) if isinstance(value, str) and not _safe(value) else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(
        anchor=anchor,
        diff_lines=diff_lines,
        family=pictures.family,
        seconds=seconds,
        state_family=STATE_FAMILY.__getitem__,
        words=lambda text: text.replace("_", " "),
    )
    return env


def _safe(value: object) -> bool:
    return hasattr(value, "__html__")


def _template(name: str) -> str:
    return files("pytest_agentflow.report").joinpath("templates", name).read_text(encoding="utf-8")


def anchor(attempt: str) -> str:
    """An id that is safe in `id=` and in `#`."""
    return "attempt-" + re.sub(r"[^A-Za-z0-9_-]", "_", attempt)


def _headline(report: RunReport) -> str:
    when = datetime.fromtimestamp(report.began, UTC).strftime("%Y-%m-%d %H:%M UTC") if report.began else ""
    end = f"exit code {report.exit_code}" if report.finished else "unfinished"
    return ", ".join(part for part in (when, end, one_line(report.stop_reason, 200)) if part)


def _numbers(report: RunReport) -> list[tuple[str, str]]:
    fixed = report.count(TargetState.FIXED, TargetState.WEAK)
    rows = [(f"{fixed} of {len(report.targets)}", "red tests fixed")] if report.targets else []
    if report.before and report.after:
        rows.insert(0, (_change(report.before, report.after), "pass rate"))
    patches = sum(bool(a.tree) for a in report.attempts)
    rows.append(
        (
            str(len(report.attempts)),
            f"attempt{'' if len(report.attempts) == 1 else 's'}, {count(patches, 'patch', 'patches')} in",
        )
    )
    rows.append((seconds(report.duration), "wall clock"))
    if report.spend.usd:
        rows.append((f"${report.spend.usd:.2f}", "spent"))
    return rows


def _change(before: Rate, after: Rate) -> str:
    old, new = percent(before.passed, before.total), percent(after.passed, after.total)
    return new if old == new else f"{old.removesuffix(' %')} → {new}"


def _facts(report: RunReport) -> list[tuple[str, str, bool]]:
    dirty = " with uncommitted changes" if report.repository.get("dirty") else ""
    rows = [
        ("command", report.command, True),
        ("patches", delivered_words(report), False),
        ("not selected", others_words(report), False),
        ("spend", run_spend_words(report), False),
        ("head", f"{report.repository.get('head') or ''}{dirty}".strip(), True),
        ("python", report.python, False),
        ("sandbox", report.sandbox, False),
        ("resume with", "" if report.finished else resume_command(report), True),
    ]
    return [row for row in rows if row[1]]


def _reason_of(report: RunReport) -> Callable[[TargetReport], str]:
    attempts: dict[str, Any] = {a.id: a for a in report.attempts}

    def reason(target: TargetReport) -> str:
        attempt = attempts.get(target.attempt)
        return ", ".join(attempt.paths) + (f": {attempt.reason}" if attempt.reason else "") if attempt else ""

    return reason
