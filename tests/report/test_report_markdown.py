"""The Markdown transcript holds everything, and nothing in it gets out of its cell, span or fence."""

from __future__ import annotations

from dataclasses import replace

from pytest_agentflow.report import transcript_markdown as markdown
from pytest_agentflow.report.model import RunReport


def test_one_section_per_attempt_with_diff_findings_and_spend(report: RunReport) -> None:
    text = markdown.render(report)
    for name in ("r1-a1", "r1-a2", "r1-a3", "r1-a4", "r1-a5"):
        assert f"### {name}\n" in text and f"[{name}](#{name})" in text
    assert text.count("```diff") == 3
    assert "| guards | failed | 1 of 58 turned red |" in text
    assert "Spend: 4.2 s in lanes, 3.9 s CPU, no model asked" in text


def test_markup_in_a_test_name_stays_text(report: RunReport) -> None:
    text = markdown.render(report)
    assert "\x1b" not in text and "\u202e" not in text
    for line in text.splitlines():
        if "onerror" in line:
            ticks = line.count("``")
            assert ticks >= 2, "outside a code span"


def test_tables_keep_their_columns(report: RunReport) -> None:
    lines = markdown.render(report).splitlines()
    start = lines.index("| state | test | attempt | reason |")
    for line in lines[start : start + 9]:
        assert line.replace("\\|", "").count("|") == 5


def test_a_fence_is_longer_than_any_in_the_patch(report: RunReport) -> None:
    patch = "@@ -1 +1 @@\n+````\n+# heading\n"
    attempt = replace(report.attempts[0], patch=patch)
    section = markdown.attempt_section(attempt)
    assert "`````diff\n" + patch.rstrip() + "\n`````" in section


def test_words_of_agents_are_escaped() -> None:
    assert (
        markdown.escape("<b>[x](http://y) `z` *q* & #1 @me")
        == r"\<b\>\[x\](http://y) \`z\` \*q\* \& \#1 \@me"
    )


def test_a_code_span_holds_backticks() -> None:
    assert markdown.code("a `b` c") == "``a `b` c``"
    assert markdown.code("`x") == "`` `x ``"
    assert markdown.code("") == ""
