"""What does the exception itself say should be repaired? Renamed or moved names and changed signatures of dependencies."""

from __future__ import annotations

import ast
import difflib
import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_agentflow.agents.search.edits import Edit, Source
from pytest_agentflow.core.model import Failure

Probe = Callable[[Sequence[str]], Mapping[str, Any]]

NO_ATTRIBUTE = re.compile(r"(?:module '(?P<module>[\w.]+)'|'?(?P<type>[\w.]+)'? object|type object '(?P<cls>\w+)') has no attribute '(?P<name>\w+)'")  # fmt: skip
NO_IMPORT = re.compile(
    r"cannot import name '(?P<name>\w+)' from (?:partially initialized module )?'(?P<module>[\w.]+)'"
)
NO_MODULE = re.compile(r"No module named '(?P<module>[\w.]+)'")
NO_KEYWORD = re.compile(r"(?P<function>\w+)\(\) got an unexpected keyword argument '(?P<name>\w+)'")
TOO_MANY = re.compile(
    r"(?P<function>\w+)\(\) takes (?:from )?\d+.* positional arguments? but \d+ (?:was|were) given"
)
NO_NAME = re.compile(r"name '(?P<name>\w+)' is not defined")
MEANT = re.compile(r"Did you mean:? '(?P<name>\w+)'")

# What the probe finds out inside the sandbox, where importing is allowed: names of a module, names of its submodules,
# and the parameters of what it defines. Other people's code runs there, never here.
PROBE = """
import importlib, inspect, json, pkgutil, sys
told = {}
for name in sys.argv[1:]:
    root = name.partition(".")[0]
    for attempt in (name, root):
        try:
            module = importlib.import_module(attempt)
            break
        except BaseException:
            module = None
    if module is None:
        continue
    found = {"names": [n for n in dir(module)], "moved": {}, "parameters": {}}
    walked = [(module.__name__, module)]
    package = sys.modules.get(root)
    for info in list(pkgutil.walk_packages(getattr(package, "__path__", []), root + "."))[:200]:
        if "test" in info.name or "__main__" in info.name:
            continue
        try:
            walked.append((info.name, importlib.import_module(info.name)))
        except BaseException:
            continue
    for where, part in walked:
        for n, value in list(vars(part).items()):
            if n.startswith("__"):
                continue
            found["moved"].setdefault(n, []).append(where)
            members = [(n, value)]
            if inspect.isclass(value):
                members += list(vars(value).items())
                found.setdefault("classes", {})[n] = [m for m in dir(value) if not m.startswith("__")]
            for m, member in members:
                try:
                    found["parameters"].setdefault(m, list(inspect.signature(member).parameters))
                except (TypeError, ValueError):
                    continue
    found["modules"] = [where for where, _ in walked]
    told[name] = found
print(json.dumps(told))
"""


@dataclass(frozen=True, slots=True)
class Hint:
    """One exception, read: what is wrong with which name."""

    kind: str  # "attribute", "import", "module", "keyword", "arguments" or "name"
    name: str
    where: str = ""  # module, type or function
    meant: str = ""


def read(failure: Failure) -> Hint | None:
    """The hint in an exception's message, if it is one of those that name their cause."""
    message = failure.message
    meant = MEANT.search(message)
    better = meant["name"] if meant else ""
    for pattern, kind in (
        (NO_ATTRIBUTE, "attribute"),
        (NO_IMPORT, "import"),
        (NO_MODULE, "module"),
        (NO_KEYWORD, "keyword"),
        (TOO_MANY, "arguments"),
        (NO_NAME, "name"),
    ):
        if found := pattern.search(message):
            groups = found.groupdict()
            where = (
                groups.get("module")
                or groups.get("type")
                or groups.get("cls")
                or groups.get("function")
                or ""
            )
            return Hint(kind, groups.get("name") or where, where, better)
    return None


def repairs(
    failures: Mapping[str, Failure], sources: Mapping[str, Source], probe: Probe
) -> Iterator[tuple[Edit, ...]]:
    """Repairs that the evidence suggests: one that changes every place alike first, then each place by itself."""
    hints = list(dict.fromkeys(h for h in (read(f) for f in failures.values()) if h))
    if not hints:
        return
    modules = sorted({m for h in hints for m in _modules(h, sources)})
    told = probe(modules) if modules else {}
    singles: list[tuple[Edit, ...]] = []
    for hint in hints:
        for source in sources.values():
            for node in ast.walk(source.tree):
                singles += [(edit,) for edit in _at(hint, node, source, told)]
                if hint.kind == "attribute" and isinstance(node, ast.Attribute) and node.attr == hint.name:
                    singles += _moved_attribute(hint, node, source, told)
    alike: dict[tuple[str, str], list[Edit]] = {}
    for candidate in singles:
        alike.setdefault((candidate[0].kind, candidate[0].text), []).append(candidate[0])
    for (kind, _), group in alike.items():
        if len(group) > 1 and kind.startswith(("renamed", "dropped")):
            yield tuple(dict.fromkeys(group))
    yield from singles


def _modules(hint: Hint, sources: Mapping[str, Source]) -> set[str]:
    """Modules to ask about: the one named, else those that the suspected files import."""
    if hint.kind in ("import", "module") or (hint.kind == "attribute" and "." in hint.where):
        return {hint.where}
    found = {hint.where} if hint.kind == "attribute" and hint.where[:1].islower() else set()
    for source in sources.values():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    return found


def _at(hint: Hint, node: ast.AST, source: Source, told: Mapping[str, Any]) -> Iterator[Edit]:
    if hint.kind == "attribute" and isinstance(node, ast.Attribute) and node.attr == hint.name:
        start, end = source.span(node.value)[1], source.span(node)[1]
        for name in _others(hint, told):
            yield _edit(source, node, start, end, f".{name}", "renamed-attribute")
    elif hint.kind in ("import", "module") and isinstance(node, ast.ImportFrom | ast.Import):
        yield from _imported(hint, node, source, told)
    elif hint.kind == "keyword" and isinstance(node, ast.Call):
        yield from _keyword(hint, node, source, told)
    elif (
        hint.kind == "arguments" and isinstance(node, ast.Call) and _called(node) == hint.where and node.args
    ):
        yield from _positional(hint, node, source, told)
    elif hint.kind == "name" and isinstance(node, ast.Name) and node.id == hint.name:
        if hint.meant:
            yield _edit(source, node, *source.span(node), hint.meant, "renamed-name")
    elif hint.kind == "name" and isinstance(node, ast.Module):
        yield from _missing_import(hint, source)


def _edit(source: Source, node: Any, start: int, end: int, text: str, kind: str, weight: float = 1.0) -> Edit:
    return Edit(source.path, start, end, text, kind, node.lineno, weight)


def _others(hint: Hint, told: Mapping[str, Any]) -> list[str]:
    """Names that could be what the old one is called now: what Python suggests, then the most alike."""
    known: list[str] = []
    for facts in told.values():
        known += facts["names"] + [m for names in facts.get("classes", {}).values() for m in names]
        known += facts.get("classes", {}).get(hint.where, [])
    squeezed = {k.replace("_", "").lower(): k for k in reversed(known)}
    same = squeezed.get(hint.name.replace("_", "").lower())
    parts = set(re.findall(r"[a-z]+|[A-Z][a-z]*", hint.name))
    sharing = [k for k in dict.fromkeys(known) if parts & set(re.findall(r"[a-z]+|[A-Z][a-z]*", k))]
    close = difflib.get_close_matches(hint.name, list(dict.fromkeys(known)), n=8, cutoff=0.5)
    return [n for n in dict.fromkeys([hint.meant, same or "", *close, *sharing[:25]]) if n and n != hint.name]


def _moved_attribute(
    hint: Hint, node: ast.Attribute, source: Source, told: Mapping[str, Any]
) -> Iterator[tuple[Edit, ...]]:
    """`package.name` that now lives in a submodule: imported from there, and used by its bare name."""
    first = _first_import(source)
    for facts in told.values() if first is not None else ():
        at = source.line_start(first.lineno) if first is not None else 0
        for where in facts["moved"].get(hint.name, [])[:6]:
            line = f"from {where} import {hint.name}{source.newline}"
            used = _edit(source, node, *source.span(node), hint.name, "moved-attribute", 0.5)
            yield used, _edit(source, first, at, at, line, "missing-import", 0.5)


def _imported(
    hint: Hint, node: ast.ImportFrom | ast.Import, source: Source, told: Mapping[str, Any]
) -> Iterator[Edit]:
    if isinstance(node, ast.ImportFrom) and node.module == hint.where:
        for alias in node.names:
            if hint.kind == "module" or alias.name == hint.name:
                yield from _from_import(node, alias, source, told, hint)
    elif isinstance(node, ast.Import) and any(a.name == hint.where for a in node.names):
        for facts in told.values():
            for name in difflib.get_close_matches(hint.where, facts["modules"], n=5, cutoff=0.4):
                text = f"import {name} as {node.names[0].asname or hint.where.partition('.')[0]}"
                yield _edit(source, node, *source.span(node), text, "moved-module")


def _from_import(
    node: ast.ImportFrom, alias: ast.alias, source: Source, told: Mapping[str, Any], hint: Hint
) -> Iterator[Edit]:
    bound = alias.asname or alias.name
    rest = [a.name + (f" as {a.asname}" if a.asname else "") for a in node.names if a is not alias]
    kept = f"from {node.module} import {', '.join(rest)}\n" if rest and hint.kind == "import" else ""
    together = f", {', '.join(rest)}" if hint.kind == "module" and rest else ""
    indent = " " * node.col_offset
    for facts in told.values():
        moved = facts["moved"].get(alias.name, [])
        options = [
            (m, alias.name)
            for m in sorted(moved, key=lambda m: (m.count("."), "_" in m, m))
            if m != node.module
        ]
        options += (
            [(node.module or "", name) for name in _others(hint, told)] if hint.kind == "import" else []
        )
        for module, name in options[:30]:
            asked = name if name == bound else f"{name} as {bound}"
            line = f"from {module} import {asked}{together}"
            text = kept + indent + line if kept else line
            yield _edit(source, node, *source.span(node), text, "moved-import")


def _called(node: ast.Call) -> str:
    return str(getattr(node.func, "attr", None) or getattr(node.func, "id", ""))


def _keyword(hint: Hint, node: ast.Call, source: Source, told: Mapping[str, Any]) -> Iterator[Edit]:
    for keyword in node.keywords:
        if keyword.arg != hint.name:
            continue
        given = {k.arg for k in node.keywords}
        known = [
            p for f in told.values() for n in (hint.where, _called(node)) for p in f["parameters"].get(n, [])
        ]
        close = difflib.get_close_matches(hint.name, known, n=4, cutoff=0.4)
        start, end = source.span(keyword)
        for name in dict.fromkeys([hint.meant, *close, *known]):
            if name and name not in given and name not in ("self", "args", "kwargs"):
                text = f"{name}={source.code(keyword.value)}"
                yield _edit(source, node, start, end, text, "renamed-keyword")
        tail = source.text[end:]
        gap = re.match(r"\s*,\s*", tail)
        head = re.search(r",\s*$", source.text[:start])
        if gap:
            yield _edit(source, node, start, end + gap.end(), "", "dropped-keyword", 0.5)
        elif head:
            yield _edit(source, node, head.start(), end, "", "dropped-keyword", 0.5)
        else:
            yield _edit(source, node, start, end, "", "dropped-keyword", 0.5)


def _positional(hint: Hint, node: ast.Call, source: Source, told: Mapping[str, Any]) -> Iterator[Edit]:
    """Arguments that became keyword-only: the last positional one gets the name of a parameter."""
    known = [p for f in told.values() for p in f["parameters"].get(hint.where, [])]
    at = source.span(node.args[-1])[0]
    for name in dict.fromkeys(known):
        if name not in ("self", "args", "kwargs"):
            yield _edit(source, node, at, at, f"{name}=", "keyword-only")


def _first_import(source: Source) -> ast.stmt | None:
    """Where a new import goes: at the first one that is there, `__future__` apart, else at the first statement."""
    for node in source.tree.body:
        if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.module != "__future__"):
            return node
    return next((n for n in source.tree.body if not isinstance(n, ast.Expr | ast.ImportFrom)), None)


def _missing_import(hint: Hint, source: Source) -> Iterator[Edit]:
    first = _first_import(source)
    if first is None:
        return
    at = source.line_start(first.lineno)
    yield _edit(source, first, at, at, f"import {hint.name}{source.newline}", "missing-import")
    for module in (
        "typing",
        "collections",
        "itertools",
        "functools",
        "datetime",
        "pathlib",
        "os",
        "re",
        "dataclasses",
    ):
        text = f"from {module} import {hint.name}{source.newline}"
        yield _edit(source, first, at, at, text, "missing-import", 0.5)


def sandboxed_probe(start: Callable[..., Any], python: str, env: Mapping[str, str]) -> Probe:
    """Ask the project's own interpreter, inside the attempt's sandbox; no answer is an answer too."""

    def probe(modules: Sequence[str]) -> Mapping[str, Any]:
        argv = [python, "-c", PROBE, *modules]
        try:
            process = start(
                argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            output, _ = process.communicate(timeout=60)
            told: Mapping[str, Any] = json.loads(output.splitlines()[-1])
        except (OSError, ValueError, IndexError, AttributeError, subprocess.SubprocessError):
            return {}
        return told

    return probe
