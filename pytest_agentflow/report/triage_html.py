"""What does a triage look like as a page: rates with their intervals, a timeline per test, what fails together?"""

from __future__ import annotations

from html import escape
from itertools import combinations

from pytest_agentflow.core.flaky import FlakyRecord
from pytest_agentflow.core.flaky_report import TriageReport
from pytest_agentflow.report.text import visible
from pytest_agentflow.report.triage_words import (
    acceptance,
    bounds,
    headline,
    odds,
    origin,
    price,
    rate,
    verdicts,
)

STYLE = """
:root { color-scheme: light dark; --bad: #c0392b; --good: #2e7d4f; --line: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2.2rem }
code, pre { font: 13px/1.45 ui-monospace, monospace } pre { overflow-x: auto; padding: .6rem; background: #8881; border-radius: 6px }
article { border-top: 1px solid var(--line); padding: .8rem 0 } .soft { opacity: .72 } svg { max-width: 100% }
.tag { background: #8882; border-radius: 4px; padding: 0 .4rem } text { fill: currentColor; font: 12px system-ui }
"""
ROW, LEFT, WIDTH = 20, 380, 1040


def page(report: TriageReport) -> str:
    """One self-contained file without script."""
    articles = "\n".join(
        _article(number, group, report) for number, (_, group) in enumerate(report.causes(), 1)
    )
    lists = "".join(f"<li>{_text(line)}</li>" for line in [*odds(report), *bounds(report), price(report)])
    missed = "".join(f"<li>not reached: {_text(n)}</li>" for n in report.not_reached)
    notes = "".join(f"<li>{_text(n)}</li>" for n in (*origin(report), *report.notes))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>agentflow triage</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{STYLE}</style></head><body><h1>Flaky triage: {_text(headline(report))}</h1><ul>{lists}{missed}{notes}</ul>"
        f"<h2>How often they fail</h2>{intervals(report)}<h2>What fails together</h2>{together(report)}"
        f"<h2>Causes</h2>{articles}</body></html>\n"
    )


def _text(value: str) -> str:
    return escape(visible(value))


def _article(number: int, group: list[FlakyRecord], report: TriageReport) -> str:
    first = group[0]
    good, bad = verdicts(first)
    rows = "".join(
        f"<li><code>{_text(r.nodeid)}</code> <span class=soft>{_text(rate(r))}</span><br>{timeline(report, r)}</li>"
        for r in group
    )
    return (
        f"<article><p><b>{number}.</b> <span class=tag>{_text(first.category)}</span> {first.confidence:.0%} · {_text(first.why)}</p>"
        f"<ul>{rows}</ul><p>green: {_text(good)}<br>red: {_text(bad)}<br><span class=soft>{_text(acceptance(first))}</span></p>"
        f"<pre>{_text(first.reproducer)}</pre></article>"
    )


def intervals(report: TriageReport) -> str:
    """A point and a 95 % interval per flaky test."""
    records = [r for r in report.records if r.runs]
    span, height = WIDTH - LEFT - 40, ROW * len(records) + 30
    marks = []
    for n, record in enumerate(records):
        y = ROW * n + 14
        low, high, p = (LEFT + span * v for v in (record.low, record.high, record.failures / record.runs))
        name = visible(record.nodeid)
        marks.append(
            f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{escape(name if len(name) < 54 else "…" + name[-52:])}</text>'
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="currentColor" stroke-width="2"/>'
            f'<circle cx="{p:.1f}" cy="{y}" r="4" fill="var(--bad)"><title>{_text(rate(record))}</title></circle>'
        )
    axis = "".join(
        f'<line x1="{LEFT + span * t / 4}" x2="{LEFT + span * t / 4}" y1="0" y2="{height - 20}" stroke="var(--line)"/>'
        f'<text x="{LEFT + span * t / 4}" y="{height - 4}" text-anchor="middle">{25 * t} %</text>'
        for t in range(5)
    )
    return f'<svg role="img" aria-label="failure rates" viewBox="0 0 {WIDTH} {height}">{axis}{"".join(marks)}</svg>'


def timeline(report: TriageReport, record: FlakyRecord) -> str:
    """Every run of the test in order: red failed, green passed; hover for the experiment."""
    runs = report.timelines.get(record.nodeid, ())
    marks = "".join(
        f'<rect x="{6 * n}" y="0" width="5" height="12" fill="var(--{"bad" if red else "good"})"><title>{_text(arm)}</title></rect>'
        for n, (arm, red) in enumerate(runs)
    )
    return f'<svg role="img" aria-label="runs" width="{6 * len(runs)}" height="12" viewBox="0 0 {max(6 * len(runs), 1)} 12">{marks}</svg>'


def together(report: TriageReport) -> str:
    """Tests with one cause, joined: circles are tests, a line joins two that share the cause."""
    groups = [g for _, g in report.causes() if len(g) > 1][:12]
    if not groups:
        return "<p class=soft>No two flaky tests share a cause.</p>"
    parts = []
    for n, group in enumerate(groups):
        top, members = 60 * n, group[:30]
        spots = [(30 + 26 * k, top + 34 + (8 if k % 2 else -8)) for k in range(len(members))]
        parts += [
            f'<line x1="{a[0]}" y1="{a[1]}" x2="{b[0]}" y2="{b[1]}" stroke="var(--line)"/>'
            for a, b in combinations(spots, 2)
        ]
        parts += [
            f'<circle cx="{x}" cy="{y}" r="7" fill="var(--bad)"><title>{_text(r.nodeid)}</title></circle>'
            for (x, y), r in zip(spots, members, strict=True)
        ]
        words = f"{group[0].category}, {len(group)} tests: {group[0].cause}"[:110]
        parts.append(f'<text x="{40 + 26 * len(members)}" y="{top + 38}">{_text(words)}</text>')
    return f'<svg role="img" aria-label="what fails together" viewBox="0 0 {WIDTH} {60 * len(groups)}">{"".join(parts)}</svg>'
