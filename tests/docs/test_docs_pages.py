"""The documentation names what exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PAGES = sorted([TOP / "README.md", *(TOP / "docs").rglob("*.md")])


def generator() -> object:
    spec = importlib.util.spec_from_file_location("docs_generate", TOP / "docs" / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["reference/options.md", "reference/hooks.md"])
def test_pages_written_from_the_code_are_current(name: str) -> None:
    """When this fails: `python docs/generate.py`."""
    page = generator().PAGES[name]  # type: ignore[attr-defined]
    assert (TOP / "docs" / name).read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(TOP)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http:", "https:", "#", "mailto:")):
            assert (page.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(TOP)))
def test_options_that_are_named_exist(page: Path) -> None:
    known = generator().PAGES["reference/options.md"]()  # type: ignore[attr-defined]
    named = set(re.findall(r"--(?:agent|flaky)-[a-z-]+[a-z]", page.read_text(encoding="utf-8")))
    unknown = {option for option in named if f"`{option}" not in known}
    assert not unknown - {"--flaky-passes"}  # an option of `agentflow gate`


def test_the_transcript_page_names_every_state_and_the_dependencies_page_every_dependency() -> None:
    from pytest_agentflow.report.model import TargetState

    transcript = (TOP / "docs/reference/transcript.md").read_text(encoding="utf-8")
    assert all(f"| {state.value} |" in transcript for state in TargetState)
    listed = (TOP / "docs/reference/dependencies.md").read_text(encoding="utf-8")
    project = (TOP / "pyproject.toml").read_text(encoding="utf-8")
    block = project.split("dependencies = [")[1].split("\n]")[0]
    for name in re.findall(r'"([a-z0-9-]+)', block):
        assert f"| {name} |" in listed, name


def test_every_event_of_the_journal_is_documented() -> None:
    from pytest_agentflow.core import events

    page = (TOP / "docs/reference/journal.md").read_text(encoding="utf-8")
    names = [v for k, v in vars(events).items() if k.isupper() and isinstance(v, str) and v.isalpha()]
    assert len(names) >= 12
    assert all(f"`{name}`" in page for name in names)


def test_every_stop_reason_is_documented() -> None:
    from pytest_agentflow.core.plan import StopReason

    page = (TOP / "docs/reference/exit-codes.md").read_text(encoding="utf-8")
    assert all(f"`{str(reason).split(':')[0]}" in page for reason in StopReason)
