"""What did a command-line agent spend, by its own machine-readable output? None when it does not say.

Its words are used for money only, never for a verdict; what cannot be read is charged as the whole reservation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pytest_agentflow.core.model import Spend

Json = Mapping[str, Any]


def parse(usage: str | Mapping[str, str], stdout: bytes, file_text: str | None = None) -> Spend | None:
    """The spend that `usage` reads from the output: a parser's name, or a map of our fields to dotted paths."""
    text = stdout.decode("utf-8", "replace") if file_text is None else file_text
    try:
        if isinstance(usage, Mapping):
            return _mapped(usage, text)
        parser = PARSERS.get(usage.removeprefix("jsonl:"))
        return parser(text) if parser else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _documents(text: str) -> list[Any]:
    """Every JSON document in the text: one for the whole, or one per line, other lines skipped."""
    try:
        return [json.loads(text)]
    except ValueError:
        return list(_lines(text))


def _lines(text: str) -> Iterator[Any]:
    for line in text.splitlines():
        if line.lstrip().startswith(("{", "[")):
            try:
                yield json.loads(line)
            except ValueError:
                continue


def _number(value: Any) -> int:
    return int(value or 0)


def claude(text: str) -> Spend | None:
    """Claude Code's `--output-format json` (one object) or `stream-json` (the last `result` line)."""
    documents = [d for item in _documents(text) for d in (item if isinstance(item, list) else [item])]
    results = [d for d in documents if isinstance(d, dict) and "usage" in d and "total_cost_usd" in d]
    if not results:
        return None
    usage = results[-1]["usage"]
    return Spend(
        input_tokens=_number(usage.get("input_tokens")),
        output_tokens=_number(usage.get("output_tokens")),
        cache_read_tokens=_number(usage.get("cache_read_input_tokens")),
        cache_write_tokens=_number(usage.get("cache_creation_input_tokens")),
        usd=float(results[-1]["total_cost_usd"] or 0.0),
        calls=_number(results[-1].get("num_turns")) or 1,
    )


def codex(text: str) -> Spend | None:
    """Codex's `--json` events: usage per completed turn; its input count includes the cached part."""
    turns = [
        d["usage"]
        for d in _documents(text)
        if isinstance(d, dict) and d.get("type") == "turn.completed" and isinstance(d.get("usage"), dict)
    ]
    if not turns:
        return None
    total = Spend()
    for usage in turns:
        cached = _number(usage.get("cached_input_tokens"))
        total += Spend(
            input_tokens=max(0, _number(usage.get("input_tokens")) - cached),
            output_tokens=_number(usage.get("output_tokens")),
            cache_read_tokens=cached,
            calls=1,
        )
    return total


def gemini(text: str) -> Spend | None:
    """Gemini CLI's `--output-format json`: token statistics per model; the prompt count includes the cached part."""
    stats = next(
        (d["stats"] for d in reversed(_documents(text)) if isinstance(d, dict) and "stats" in d), None
    )
    if stats is None:
        return None
    total = Spend()
    for model in stats.get("models", {}).values():
        tokens, cached = model.get("tokens", {}), _number(model.get("tokens", {}).get("cached"))
        total += Spend(
            input_tokens=max(0, _number(tokens.get("prompt")) - cached) + _number(tokens.get("tool")),
            output_tokens=_number(tokens.get("candidates")) + _number(tokens.get("thoughts")),
            cache_read_tokens=cached,
            calls=_number(model.get("api", {}).get("totalRequests")),
        )
    return total


def opencode(text: str) -> Spend | None:
    """OpenCode's `--format json` events: one `step_finish` per model call, with tokens and cost."""
    steps = [d["part"] for d in _documents(text) if isinstance(d, dict) and d.get("type") == "step_finish"]
    if not steps:
        return None
    total = Spend()
    for part in steps:
        tokens = part.get("tokens", {})
        cache = tokens.get("cache", {})
        total += Spend(
            input_tokens=_number(tokens.get("input")),
            output_tokens=_number(tokens.get("output")) + _number(tokens.get("reasoning")),
            cache_read_tokens=_number(cache.get("read")),
            cache_write_tokens=_number(cache.get("write")),
            usd=float(part.get("cost") or 0.0),
            calls=1,
        )
    return total


PARSERS: Mapping[str, Callable[[str], Spend | None]] = {
    "claude": claude,
    "codex": codex,
    "gemini": gemini,
    "opencode": opencode,
}


def _mapped(paths: Mapping[str, str], text: str) -> Spend | None:
    """Fields of a spend by dotted path in the last JSON document: `{usd = "info.model_stats.instance_cost"}`."""
    documents = _documents(text)
    fields = {name: path for name, path in paths.items() if name in Spend.__slots__}
    if not documents or not fields:
        return None
    values: dict[str, Any] = {name: _at(documents[-1], path) for name, path in fields.items()}
    if any(value is None for value in values.values()):
        return None
    whole: dict[str, Any] = {
        n: float(v) if n in ("usd", "seconds", "cpu") else int(v) for n, v in values.items()
    }
    return Spend(**whole)


def _at(document: Any, path: str) -> Any:
    for step in path.split("."):
        if isinstance(document, list) and step.lstrip("-").isdigit():
            document = document[int(step)] if -len(document) <= int(step) < len(document) else None
        elif isinstance(document, dict):
            document = document.get(step)
        else:
            return None
    return document
