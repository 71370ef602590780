"""Which edits does an exception itself suggest? Renamed or moved names and changed signatures of what is installed."""

from __future__ import annotations

import ast
import builtins
import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_agentflow.agents.search.edits import ATOMS, Edit, Source
from pytest_agentflow.agents.search.installed import Probe
from pytest_agentflow.agents.search.removed import METHODS, MOVED
from pytest_agentflow.core.hints import Hint

Told = Mapping[str, Any]
Fix = tuple[
    tuple[str, ...], tuple[Edit, ...]
]  # what is done, the same words in every place; the edits of one place
ALIKE = 0.5  # of names, from which on one may have become the other
OPTIONS = 30  # names tried in place of one
NEVER = ("self", "cls", "args", "kwargs", "kw")


def repairs(hints: Sequence[Hint], sources: Mapping[str, Source], probe: Probe) -> Iterator[tuple[Edit, ...]]:
    """Repairs that the hints suggest: what changes every place alike, then every place of a file, then each by itself."""
    modules = sorted({m for hint in hints for m in _modules(hint, sources)})
    told = probe(modules, [hint.name.rpartition(".")[2] for hint in hints]) if modules else {}
    found: dict[tuple[str, ...], dict[tuple[Edit, ...], None]] = {}
    for hint in hints:
        for source in sources.values():
            if _mentioned(hint, source):
                for node in ast.walk(source.tree):
                    for what, edits in _fixes(hint, node, source, told):
                        found.setdefault(what, {})[edits] = None
    singles: dict[tuple[Edit, ...], None] = {}
    for places in found.values():
        yield tuple(dict.fromkeys(edit for edits in places for edit in edits))
        by_file: dict[str, dict[Edit, None]] = {}
        for edits in places:
            by_file.setdefault(edits[0].path, {}).update(dict.fromkeys(edits))
        if len(by_file) > 1:
            singles |= {tuple(edits): None for edits in by_file.values()}
        if len(places) > 1:
            singles |= places
    yield from singles


def _mentioned(hint: Hint, source: Source) -> bool:
    words = (hint.name, hint.where.rpartition(".")[2]) if hint.kind == "arguments" else (hint.name,)
    return hint.kind in ("name", "missing") or any(w.rpartition(".")[2] in source.text for w in words)


def _modules(hint: Hint, sources: Mapping[str, Source]) -> set[str]:
    """Modules to ask about: the one named, else those that the files which mention the name import."""
    if hint.kind in ("import", "module") or (hint.kind == "attribute" and "." in hint.where):
        return {hint.where}
    found = {hint.where} if hint.kind == "attribute" and hint.where[:1].islower() else set()
    for source in sources.values():
        for node in ast.walk(source.tree) if _mentioned(hint, source) else ():
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    return found


def _fixes(hint: Hint, node: ast.AST, source: Source, told: Told) -> Iterator[Fix]:
    old = hint.name.rpartition(".")[2]
    if isinstance(node, ast.Attribute) and node.attr == old and hint.kind in ("attribute", "deprecated"):
        yield from _attribute(hint, node, source, told)
    elif isinstance(node, ast.ImportFrom) and hint.kind in ("import", "deprecated"):
        for alias in node.names:
            if alias.name == old and (hint.kind == "deprecated" or node.module == hint.where):
                yield from _from_import(hint, node, alias, source, told)
    elif isinstance(node, ast.ImportFrom | ast.Import) and hint.kind == "module":
        yield from _module(hint, node, source, told)
    elif isinstance(node, ast.Call):
        yield from _call(hint, old, node, source, told)
    elif hint.kind == "name":
        yield from _name(hint, node, source)


def _call(hint: Hint, old: str, node: ast.Call, source: Source, told: Told) -> Iterator[Fix]:
    function = hint.where.rpartition(".")[2]
    if hint.kind == "deprecated" and _called(node) == old:
        yield from _written_out(old, node, source, told)
    if hint.kind in ("keyword", "deprecated"):
        yield from _keyword(hint, old, node, source, told)
    elif hint.kind == "arguments" and function in (_called(node), "__init__") and node.args:
        yield from _positional(hint, node, source, told)
    elif hint.kind == "missing" and function in (_called(node), "__init__"):
        yield from _missing(hint, node, source, told)


def _edit(source: Source, node: Any, start: int, end: int, text: str, kind: str, weight: float = 1.0) -> Edit:
    return Edit(source.path, start, end, text, kind, node.lineno, weight)


def _called(node: ast.Call) -> str:
    return str(getattr(node.func, "attr", None) or getattr(node.func, "id", ""))


# names ------------------------------------------------------------------------------------------------


def _others(hint: Hint, told: Told) -> list[str]:
    """Names that could be what the old one is called now: what the message says, then the most alike."""
    old = hint.name.rpartition(".")[2]
    members = [m for facts in told.values() for m in facts["classes"].get(hint.where, ())]
    names = [n for facts in told.values() for n in facts["names"]]
    every = [m for facts in told.values() for of in facts["classes"].values() for m in of]
    # An import can only name what the module holds; an attribute may belong to anything.
    known = names if hint.kind == "import" else members or [*names, *every]
    known = [k for k in dict.fromkeys(known) if not k.startswith("__")]
    squeezed = {k.replace("_", "").lower(): k for k in reversed(known)}
    same = squeezed.get(old.replace("_", "").lower(), "")
    said = [n.rpartition(".")[2] for n in hint.meant]
    alike = {k: _alike(old, k) for k in known}
    ranked = sorted((k for k in known if alike[k] >= ALIKE), key=lambda k: (-alike[k], k))
    names = [*said, METHODS.get(old, ""), same, *ranked]
    return [n for n in dict.fromkeys(names) if n and n != old][:OPTIONS]


def _alike(old: str, new: str) -> float:
    """How much two names look alike: as strings, and by the longest word in common; private names are unlikely."""
    ratio = difflib.SequenceMatcher(None, old, new).ratio()
    return ratio + 0.5 * _shared(old, new) / len(old) - 0.3 * (new[0] == "_")


def _shared(old: str, new: str) -> int:
    """Letters of the longest word that both names hold; words run together count too (`contextfunction`)."""
    words = [w.lower() for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", new)]
    return max((len(w) for w in words if len(w) >= 3 and w in old.lower()), default=0)


def _homes(name: str, told: Told, but: str = "") -> list[str]:
    """Modules that hold a name now, public and shallow ones first."""
    homes = dict.fromkeys(m for facts in told.values() for m in facts["moved"].get(name, []) if m != but)
    return sorted(homes, key=lambda m: ("._" in m or m[0] == "_", m.count(".")))[:6]


def _attribute(hint: Hint, node: ast.Attribute, source: Source, told: Told) -> Iterator[Fix]:
    owner = hint.where if hint.kind == "attribute" else ""
    dotted = [MOVED[d] for d in (f"{owner}.{node.attr}", source.code(node)) if d in MOVED]
    dotted += [name for name in hint.meant if name.count(".") > 0]
    dotted += [node.attr] if hasattr(builtins, node.attr) else []
    for name in dict.fromkeys(dotted):
        yield from _spelled_out(name, node, source)
    start, end = source.span(node.value)[1], source.span(node)[1]
    for name in _others(hint, told):
        edit = _edit(source, node, start, end, f".{name}", "renamed-attribute")
        yield ("attribute", name), (edit,)
    if hint.kind == "attribute":
        for where in _homes(node.attr, told, owner):
            used = _edit(source, node, *source.span(node), node.attr, "moved-attribute", 0.5)
            added = _added_import(source, f"from {where} import {node.attr}")
            if added:
                yield ("moved", where), (used, added)


def _spelled_out(name: str, node: ast.Attribute, source: Source) -> Iterator[Fix]:
    """The expression replaced by a dotted name, with the import that it needs."""
    used = _edit(source, node, *source.span(node), name, "moved-attribute")
    module = name.rpartition(".")[0]
    yield ("written", name), (used,)
    for depth in range(module.count(".") + 1 if module else 0):
        needed = module.rsplit(".", depth)[0]
        added = _added_import(source, f"import {needed}")
        if added:
            yield ("written", name, needed), (used, added)


def _added_import(source: Source, line: str) -> Edit | None:
    """A new import goes in front of the first one that is there, `__future__` apart, else of the first statement."""
    first = next((n for n in source.tree.body if _is_import(n)), None)
    if first is None:
        first = next((n for n in source.tree.body if not isinstance(n, ast.Expr | ast.ImportFrom)), None)
    if first is None:
        return None
    at = source.line_start(min([first.lineno, *(d.lineno for d in getattr(first, "decorator_list", []))]))
    return _edit(source, first, at, at, line + source.newline, "missing-import", 0.5)


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.module != "__future__")


def _name(hint: Hint, node: ast.AST, source: Source) -> Iterator[Fix]:
    if isinstance(node, ast.Name) and node.id == hint.name:
        for name in hint.meant:
            edit = _edit(source, node, *source.span(node), name, "renamed-name")
            yield ("name", name), (edit,)
    elif isinstance(node, ast.Module):
        modules = "typing collections itertools functools datetime pathlib os re dataclasses".split(" ")  # noqa: SIM905
        lines = [f"import {hint.name}", *(f"from {module} import {hint.name}" for module in modules)]
        for line in lines:
            if added := _added_import(source, line):
                yield ("import", line), (added,)


# imports ----------------------------------------------------------------------------------------------


def _from_import(
    hint: Hint, node: ast.ImportFrom, alias: ast.alias, source: Source, told: Told
) -> Iterator[Fix]:
    """`from package import old`: the same name from elsewhere, or another name under the old one."""
    module, old = node.module or "", alias.name
    options = [
        tuple(d.rpartition(".")[::2]) for d in (MOVED.get(f"{module}.{old}", ""), *hint.meant) if "." in d
    ]
    options += [(module, name) for name in hint.meant if "." not in name]
    if hint.kind == "import":
        options += [(home, old) for home in _homes(old, told, module)]
        for name in _others(hint, told):
            options += [tuple(facts["real"][name]) for facts in told.values() if name in facts["real"]]
            options.append((module, name))
    for where, name in list(dict.fromkeys(options))[:OPTIONS]:
        yield ("import", where, name), (_reimported(node, {old: (where, name)}, source),)


def _reimported(node: ast.ImportFrom, moved: Mapping[str, tuple[str, str]], source: Source) -> Edit:
    """The import statement with some names taken from elsewhere, bound to what the code calls them."""
    by_module: dict[str, list[str]] = {}
    for alias in node.names:
        home, name = moved.get(alias.name, ("." * node.level + (node.module or ""), alias.name))
        bound = alias.asname or alias.name
        by_module.setdefault(home, []).append(name if name == bound else f"{name} as {bound}")
    indent = " " * node.col_offset
    text = f"{source.newline}{indent}".join(
        f"from {home} import {', '.join(names)}" if home else f"import {', '.join(names)}"
        for home, names in by_module.items()
    )
    return _edit(source, node, *source.span(node), text, "moved-import")


def _module(hint: Hint, node: ast.ImportFrom | ast.Import, source: Source, told: Told) -> Iterator[Fix]:
    """The whole module is gone: its names are taken from where they live now, or a module like it is."""
    near = [m for facts in told.values() for m in facts["modules"]]
    near = difflib.get_close_matches(hint.where, near, n=5, cutoff=0.4)
    if isinstance(node, ast.ImportFrom):
        if node.module is None or not (node.module + ".").startswith(hint.where + "."):
            return
        names = [alias.name for alias in node.names]
        documented = {n: tuple(MOVED[f"{node.module}.{n}"].rpartition(".")[::2]) for n in names if f"{node.module}.{n}" in MOVED}  # fmt: skip
        homes = {n: _homes(n, told, node.module) for n in names}
        for turn in range(3):
            moved = {n: (homes[n][min(turn, len(homes[n]) - 1)], n) for n in names if homes[n]}
            edit = _reimported(node, {**moved, **documented}, source)  # type: ignore[dict-item]
            yield ("module", hint.where, str(turn)), (edit,)
        for name in near:
            yield ("module", name), (_reimported(node, {n: (name, n) for n in names}, source),)
    elif any(a.name == hint.where for a in node.names):
        yield from _documented(hint.where, node, source)
        for name in [*([MOVED[hint.where]] if hint.where in MOVED else []), *near]:
            text = f"import {name} as {node.names[0].asname or hint.where.partition('.')[0]}"
            yield ("module", name), (_edit(source, node, *source.span(node), text, "moved-module"),)


def _documented(module: str, node: ast.Import, source: Source) -> Iterator[Fix]:
    """Every use of `import module` spelled as the library's documentation says."""
    bound = next(a.asname or a.name for a in node.names if a.name == module)
    uses = {
        use: MOVED[f"{module}.{use.attr}"]
        for use in ast.walk(source.tree)
        if isinstance(use, ast.Attribute)
        and source.code(use.value) == bound
        and f"{module}.{use.attr}" in MOVED
    }
    if uses:
        kept = [a.name + (f" as {a.asname}" if a.asname else "") for a in node.names if a.name != module]
        needed = dict.fromkeys([*kept, *(new.rpartition(".")[0] for new in uses.values())])
        indent = f"{source.newline}{' ' * node.col_offset}"
        lines = indent.join(f"import {name}" for name in needed)
        edits = [_edit(source, node, *source.span(node), lines, "moved-module")]
        edits += [_edit(source, use, *source.span(use), new, "moved-attribute") for use, new in uses.items()]
        yield ("documented", module), tuple(edits)


# calls ------------------------------------------------------------------------------------------------


def _written_out(old: str, node: ast.Call, source: Source, told: Told) -> Iterator[Fix]:
    """A deprecated function that only returns something: the call becomes what the library itself does in it."""
    for module, facts in told.items():
        known = facts.get("inlined", {}).get(old)
        given = _bound(node, known["params"]) if known else None
        if known is None or given is None or "{" in known["value"]:
            continue
        inner = Source("inlined", known["value"].encode())
        names = [n for n in ast.walk(inner.tree) if isinstance(n, ast.Name)]
        twice = {n for n, count in Counter(n.id for n in names).items() if count > 1}
        if any(not isinstance(given[n], ast.Name | ast.Constant | ast.Attribute) for n in twice & set(given)):
            continue
        owner = source.code(node.func.value) + "." if isinstance(node.func, ast.Attribute) else ""
        homes = {n: home for n, home in known["homes"].items() if not (owner and home == module)}
        bound = {n: source.atom(value) for n, value in given.items()}
        bound |= {n: owner + n for n in known["homes"] if n not in homes}
        put = [Edit("inlined", *inner.span(n), bound[n.id], "", 1) for n in names if n.id in bound]
        text = inner.patched(put).decode()
        whole = isinstance(inner.tree.body[0], ast.Expr) and isinstance(inner.tree.body[0].value, ATOMS)
        used = _edit(source, node, *source.span(node), text if whole else f"({text})", "deprecated-call")
        added = [_added_import(source, f"from {home} import {n}") for n, home in homes.items()]
        yield ("inlined", old), (used, *(edit for edit in added if edit))


def _bound(node: ast.Call, parameters: Sequence[str]) -> dict[str, ast.expr] | None:
    """Which parameter gets which argument; None where that cannot be told, or one is left to its default."""
    if any(isinstance(a, ast.Starred) for a in node.args) or len(node.args) > len(parameters):
        return None
    given = dict(zip(parameters, node.args, strict=False))
    given |= {keyword.arg or "": keyword.value for keyword in node.keywords}
    return given if set(given) == set(parameters) else None


def _parameters(hint: Hint, node: ast.Call, told: Told) -> list[str]:
    """What the called function, or its class, accepts."""
    called, known = _called(node), []
    for facts in told.values():
        for name in (called, *facts["bases"].get(called, ()), hint.where, hint.where.rpartition(".")[2]):
            known += facts["parameters"].get(name, [])
    return [p for p in dict.fromkeys(known) if p not in NEVER]


def _keyword(hint: Hint, old: str, node: ast.Call, source: Source, told: Told) -> Iterator[Fix]:
    for keyword in node.keywords:
        if keyword.arg != old:
            continue
        given = {k.arg for k in node.keywords}
        known = _parameters(hint, node, told) if hint.kind == "keyword" else []
        close = difflib.get_close_matches(old, known, n=4, cutoff=0.4)
        alike = sorted((k for k in known if _shared(old, k)), key=lambda k: -_shared(old, k))
        start, end = source.span(keyword)
        for name in list(dict.fromkeys([*hint.meant, *close, *alike, *known]))[:OPTIONS]:
            if name not in given and name.isidentifier():
                edit = _edit(
                    source, node, start, end, f"{name}={source.code(keyword.value)}", "renamed-keyword"
                )
                yield ("keyword", name), (edit,)
        if hint.kind == "keyword":
            start, end = _with_comma(source, start, end)
            yield ("dropped", old), (_edit(source, node, start, end, "", "dropped-keyword", 0.5),)


def _with_comma(source: Source, start: int, end: int) -> tuple[int, int]:
    if gap := re.match(r"\s*,\s*", source.text[end:]):
        return start, end + gap.end()
    head = re.search(r",\s*$", source.text[:start])
    return (head.start(), end) if head else (start, end)


def _positional(hint: Hint, node: ast.Call, source: Source, told: Told) -> Iterator[Fix]:
    """Arguments that became keyword-only: the last positional ones get the names of parameters."""
    known = _parameters(hint, node, told)
    for count in range(1, len(node.args) + 1):
        for first in range(len(known)):
            names = known[first : first + count]
            if len(names) == count and not any(isinstance(a, ast.Starred) for a in node.args[-count:]):
                places = [source.span(a)[0] for a in node.args[-count:]]
                edits = [
                    _edit(source, node, at, at, f"{name}=", "keyword-only")
                    for at, name in zip(places, names, strict=True)
                ]
                yield ("keyword-only", *names), tuple(edits)


def _missing(hint: Hint, node: ast.Call, source: Source, told: Told) -> Iterator[Fix]:
    """A parameter became required: a sibling that does without, else something of that name from the same module."""
    called, names = _called(node), [n for facts in told.values() for n in facts["names"]]
    func_end = source.span(node.func)[1]
    at = source.span(node)[1] - 1
    gap = ", " if node.args or node.keywords else ""
    siblings = [n for n in dict.fromkeys(names) if called in re.split(r"_+", n) and n != called]
    for name in sorted(siblings, key=lambda n: ("safe" not in n, n)):
        edit = _edit(source, node, func_end - len(called), func_end, name, "renamed-function")
        yield ("sibling", name), (edit,)
    owner = f"{source.code(node.func.value)}." if isinstance(node.func, ast.Attribute) else ""
    like = [n for n in dict.fromkeys(names) if n.lower().endswith(hint.name.lower()) and n[0] != "_"]
    values = [owner + n for n in sorted(like, key=lambda n: ("safe" not in n.lower(), n))]
    for value in [*values, "None", "True", "False", "0", "''", "()", "{}"]:
        text = f"{gap}{hint.name}={value}"
        yield ("argument", hint.name, value), (_edit(source, node, at, at, text, "missing-argument"),)
