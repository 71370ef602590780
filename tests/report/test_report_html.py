"""The HTML transcript is one self-contained, well-formed page in which nothing that others wrote is markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pytest_agentflow.report.building import build
from pytest_agentflow.report.model import RunReport
from pytest_agentflow.report.text import diff_lines
from pytest_agentflow.report.transcript_html import anchor, render

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Collects tags, attributes, ids and links, and checks that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.links: set[str] = set()
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links |= {value or "" for name, value in attrs if name in ("href", "src")}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def page(report: RunReport) -> Page:
    return Page(render(report))


def test_the_page_is_well_formed(page: Page) -> None:
    assert not page.open


def test_the_page_needs_no_network_and_runs_no_script(page: Page, report: RunReport) -> None:
    assert not {"script", "img", "link", "iframe", "object"} & set(page.tags)
    assert not any(name.startswith("on") for name in page.attributes)
    assert all(link.startswith("#") for link in page.links)
    assert "url(" not in render(report) and "@import" not in render(report)


def test_every_link_has_its_section(page: Page) -> None:
    assert {link[1:] for link in page.links} == {anchor(f"r1-a{i}") for i in range(1, 6)}
    assert len(page.ids) == len(set(page.ids))


def test_hostile_names_are_shown_and_not_obeyed(page: Page) -> None:
    shown = "".join(page.words)
    assert "</script><img src=x onerror=alert(1)>" in shown
    assert "\\x1b[31mred" in shown and "\x1b" not in shown
    assert "\\u202eevil" in shown and "\u202e" not in shown


def test_three_pictures_are_inline(page: Page) -> None:
    assert page.tags.count("svg") == 3


def test_each_attempt_has_diff_findings_and_spend(page: Page) -> None:
    shown = "".join(page.words)
    assert shown.count("4.2 s in lanes") == 4
    assert "1 of 58 turned red" in shown and "+    if net <= 100:" in shown
    assert "changed `<` to `<=` in rate_for" in shown and "(not evidence)" in shown


def test_light_and_dark_are_both_defined(report: RunReport) -> None:
    text = render(report)
    light, dark = text.split("prefers-color-scheme: dark")
    names = set(re.findall(r"var\((--[\w-]+)\)", text))
    for colours in (light, dark):
        assert names <= set(re.findall(r"(--[\w-]+):", colours.split("* {")[0]))


def test_a_removed_line_of_dashes_is_not_a_header() -> None:
    kinds = {
        line: kind
        for kind, line in diff_lines("--- a/x\n+++ b/x\n@@ -1 +1 @@\n--- dashes\n+++ pluses\n same")
    }
    assert kinds == {
        "--- a/x": "head",
        "+++ b/x": "head",
        "@@ -1 +1 @@": "hunk",
        "--- dashes": "del",
        "+++ pluses": "add",
        " same": "",
    }


def test_an_attempt_id_cannot_break_out_of_its_anchor(report: RunReport) -> None:
    odd = replace(report, attempts=(replace(report.attempts[0], id='"><script>'),))
    assert "script" not in Page(render(odd)).tags


def test_an_unfinished_and_an_empty_run_still_render(interrupted: RunReport) -> None:
    assert "pytest --agent-resume" in render(interrupted)
    assert Page(render(build([], {}))).tags.count("svg") == 0


def test_a_wide_run_stays_small_and_whole(wide_report: RunReport) -> None:
    text = render(wide_report)
    assert len(text) < 3_000_000
    shown = Page(text)
    assert len([i for i in shown.ids if i.startswith("attempt-")]) == 300
    assert "180 more attempts have their findings" in "".join(shown.words)
