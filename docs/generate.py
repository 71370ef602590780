"""Writes the reference pages that follow from the code: options and hooks. `python docs/generate.py`; a test fails when a page is stale."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from _pytest.config.argparsing import Parser

from pytest_agentflow import hookspecs, plugin
from pytest_agentflow.cli import COMMANDS
from pytest_agentflow.settings import OPTIONS

HERE = Path(__file__).parent
NOTE = "<!-- written by docs/generate.py: change the code, then run it -->\n"


def options_page() -> str:
    """Every option that the plugin registers, with its default and its keys in configuration files."""
    parser = Parser(_ispytest=True)
    plugin.pytest_addoption(parser)  # type: ignore[arg-type]
    ours = {f"--{option.name}": option for option in OPTIONS}
    rows = []
    for registered in parser.getgroup("agentflow").options:
        name = registered.names()[0]
        option = ours.get(name)
        shape = registered.attrs()
        value = f" {shape['metavar']}" if shape.get("metavar") else ""
        value = f" [{value.strip()}]" if shape.get("nargs") == "?" else value
        keys = f"`{option.name.removeprefix('agent-')}`, `{option.dest}`" if option else ""
        words, _, told = str(shape.get("help", "")).replace("|", "\\|").partition(" (default: ")
        usual = (_default(option.default) if option else "") or told.rpartition(")")[0]
        rows.append(f"| `{name}{value}` | {usual} | {words} | {keys} |")
    commands = [f"| `agentflow {name}` | {summary} |" for name, summary in COMMANDS.items()]
    return f"""{NOTE}
# Options

Options of `pytest`. The last column names the key in `[tool.agentflow]` of `pyproject.toml` and in pytest's own ini files; [configuration](configuration.md) says which source wins.
Times are a bare number of seconds, `90s`, `5m` or `2h`.

| option | default | meaning | keys |
| --- | --- | --- | --- |
{chr(10).join(rows)}

# Commands

What is not a pytest run. Each has its own `--help`.

| command | what it does |
| --- | --- |
{chr(10).join(commands)}
"""


def _default(value: object) -> str:
    if value in (None, False, ()):
        return ""
    return (
        f"`{', '.join(value)}`"
        if isinstance(value, tuple)
        else f"`{value:g}`"
        if isinstance(value, float)
        else f"`{value}`"
    )


def hooks_page() -> str:
    """Every hook with its signature and first line."""
    found = [(n, f) for n, f in vars(hookspecs).items() if n.startswith("pytest_agentflow_")]
    parts = [NOTE, "# Hooks\n", HOOKS_INTRO]
    for name, function in found:
        first = getattr(function, "pytest_agentflow_spec", {}).get("firstresult")
        signature = str(inspect.signature(function)).replace("'", "")
        parts.append(f"## `{name}`\n\n```python\ndef {name}{signature}\n```\n\n{inspect.getdoc(function)}\n")
        if first:
            parts.append("The first plugin that answers decides.\n")
    return "\n".join(parts)


HOOKS_INTRO = """An installed package can add to the loop. Name its module in the configuration; a `conftest.py` or any other code of the tree cannot, because the
controller holds the key and never imports project code.

```toml
[tool.agentflow.plugins]
modules = ["acme_agentflow"]
```

```python
# acme_agentflow.py, installed beside pytest-agentflow
from pytest_agentflow.hookspecs import hookimpl


@hookimpl
def pytest_agentflow_event(event, data):
    if event == "verified":
        print(data["attempt"], data["verdict"])
```
"""


def benchmarks_page() -> str:
    """An index of docs/benchmarks/."""
    return "\n".join([NOTE, "# Benchmarks\n", BENCHMARKS_INTRO, *_listed("benchmarks", HERE)]) + "\n"


BENCHMARKS_INTRO = """Each figure that the project promises has a script in `benchmarks/` that prints it, beside other tools where there are any. What they printed, with
date, machine and what falls short:
"""


def index_page() -> str:
    """Every page by kind, under the three jobs."""
    parts = [NOTE, INDEX_INTRO]
    for folder, heading in KINDS.items():
        parts += [f"## {heading}\n", *_listed(folder, HERE), ""]
    return "\n".join([*parts, "## Figures\n", "- [Benchmarks](benchmarks.md)"]) + "\n"


INDEX_INTRO = """# pytest-agentflow

Your test suite decides. Three jobs, one engine:

| you have | command | you get |
| --- | --- | --- |
| a red suite after an upgrade, a port or a refactoring | `pytest --agent-fix` | patches that the suite accepts, in your working tree and as one commit each on a branch |
| a merge that should wait until enough passes | `pytest --pass-threshold=99.8`, `agentflow gate REPORT.xml…` | an exit code and the reasons |
| failures that nobody believes any more | `pytest --flaky-triage`, `agentflow triage REPORT.xml…` | which tests are flaky, how much, why, and because of whom |
"""
KINDS = {
    "tutorial": "Tutorials: learn by doing",
    "how-to": "How-to guides: one task each",
    "reference": "Reference: everything, exactly",
    "explanation": "Explanation: reasons and limits",
    "adr": "Decisions",
}


def _listed(folder: str, start: Path) -> list[str]:
    """A line for each page below `start`/`folder`, with its first heading as the title."""
    lines = []
    for page in sorted((start / folder).glob("*.md")):
        text = page.read_text(encoding="utf-8")
        title = next(line for line in text.splitlines() if line.startswith("# ")).removeprefix("# ")
        lines.append(f"- [{title}]({folder}/{page.name})")
    return lines


PAGES = {
    "reference/options.md": options_page,
    "reference/hooks.md": hooks_page,
    "benchmarks.md": benchmarks_page,
    "index.md": index_page,
}


def main() -> int:
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
        sys.stdout.write(f"docs/{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
