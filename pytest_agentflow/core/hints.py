"""What does an exception's or a warning's own text say about a name that changed?"""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_agentflow.core.model import Failure

NO_ATTRIBUTE = re.compile(
    r"(?:module '(?P<module>[\w.]+)'|type object '(?P<cls>\w+)'|'?(?P<type>[\w.]+)'? object)"
    r" has no attribute '(?P<name>\w+)'"
)
NO_IMPORT = re.compile(
    r"cannot import name '(?P<name>\w+)' from (?:partially initialized module )?'(?P<module>[\w.]+)'"
)
NO_MODULE = re.compile(r"No module named '(?P<module>[\w.]+)'")
NO_KEYWORD = re.compile(r"(?P<function>[\w.<>]+)\(\) got an unexpected keyword argument '(?P<name>\w+)'")
TOO_MANY = re.compile(
    r"(?P<function>[\w.<>]+)\(\) takes (?:from )?\d+.* positional arguments? but \d+ (?:was|were) given"
)
TOO_FEW = re.compile(
    r"(?P<function>[\w.<>]+)\(\) missing \d+ required (?:positional|keyword-only) arguments?: '(?P<name>\w+)'"
)
NO_NAME = re.compile(r"name '(?P<name>\w+)' is not defined")
BARE = re.compile(r"^AttributeError: '?(?P<name>\w+)'?$")  # a module's own `__getattr__`
MEANT = re.compile(r"Did you mean:? '(?P<name>\w+)'")
KINDS = (
    (NO_ATTRIBUTE, "attribute"),
    (NO_IMPORT, "import"),
    (NO_MODULE, "module"),
    (NO_KEYWORD, "keyword"),
    (TOO_MANY, "arguments"),
    (TOO_FEW, "missing"),
    (NO_NAME, "name"),
    (BARE, "attribute"),
)
# "use `model_dump` instead", "renamed to 'x'", "in favour of a.b": the word behind says what is meant to be used.
_WORD = r"(?P<open>[`'\"]*)@?(?P<name>[A-Za-z_]\w*(?:\.\w+)*)(?P<close>\(?[^\s`'\"]*\)?[`'\"]*)"
REPLACED = re.compile(
    r"(?:\buse|\busing|\breplaced (?:by|with)|\brenamed(?: to)?|\bmoved (?:to|into)|\bin favou?r of|\bprefer|\bcall|\bmigrate to"
    r"|\bis now|\bchanged to|:)\s+(?:(?:the|an?|new|function|method|style|respective|corresponding|equivalent|Pydantic|V\d|argument|keyword|parameter)\s+)*" + _WORD,
    re.IGNORECASE,
)  # fmt: skip
_BUILT_IN = {n for n, thing in vars(builtins).items() if isinstance(thing, type)} | {"NoneType", "function"}
DEPRECATED = re.compile(r"deprecat|removed|renamed|no longer|moved|obsolete|instead", re.IGNORECASE)
QUOTED = re.compile(r"[`'\"]@?([A-Za-z_][\w.]*?)(?:\(\))?[`'\"]")
DOTTED = re.compile(r"\b([A-Za-z_]\w*(?:\.\w+)+|\w+(?=\(\))|[a-z]+(?:_\w+)+)")


@dataclass(frozen=True, slots=True)
class Hint:
    """One message, read: what is wrong with which name, and what it says should be used."""

    kind: str  # "attribute", "import", "module", "keyword", "arguments", "missing", "name" or "deprecated"
    name: str
    where: str = ""  # module, type or function
    meant: tuple[str, ...] = ()  # dotted names, likeliest first


def may_be_upgrade(hint: Hint) -> bool:
    """Whether another version of a library could say so. Numbers, strings and None never had the attribute: something else came there."""
    return hint.kind != "attribute" or hint.where not in _BUILT_IN


def hints_of(failures: Iterable[Failure]) -> list[Hint]:
    """The different hints that failures hold."""
    found = (read(f"{failure.kind}: {failure.message}") for failure in failures)
    return list(dict.fromkeys(hint for hint in found if hint))


def read(message: str) -> Hint | None:
    """The hint in a message, if it is one of those that name their cause; quotes may stand in a string put into words again."""
    message = message.replace("\\'", "'")
    said = MEANT.search(message)
    better = (said["name"],) if said else ()
    for pattern, kind in KINDS:
        if found := pattern.search(message):
            groups = found.groupdict()
            where = next((groups[k] for k in ("module", "type", "cls", "function") if groups.get(k)), "")
            name = groups.get("name") or where
            return Hint(
                kind,
                name,
                where,
                tuple(dict.fromkeys((*better, *replacements(message[found.end() :], name)))),
            )
    return _deprecated(message)


def _deprecated(message: str) -> Hint | None:
    if not DEPRECATED.search(message):
        return None
    text = message.partition(": ")[2] or message
    new = replacements(text, "")
    names = dict.fromkeys(n for n in (*QUOTED.findall(text), *DOTTED.findall(text)) if n not in new)
    old = next(iter(names), "")
    return Hint("deprecated", old, meant=new) if old and new else None


def replacements(text: str, old: str) -> tuple[str, ...]:
    """Names that the text tells the reader to use; plain words count only in quotes or with parentheses."""
    found: dict[str, None] = {}
    for match in REPLACED.finditer(text):
        name = match["name"]
        code = match["open"] or "(" in match["close"] or "_" in name or "." in name.rstrip(".")
        if code and name.rpartition(".")[2] != old.rpartition(".")[2]:
            found[name] = None
    return tuple(found)
