"""In which order are edits tried? By how likely the line is to be at fault times how common such a fix is."""

from __future__ import annotations

import ast
import math
import random
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType

from pytest_agentflow.agents.search.context import Context
from pytest_agentflow.agents.search.edits import Edit, Source
from pytest_agentflow.agents.search.files import FileContext, Function, Project
from pytest_agentflow.agents.search.templates import FAMILIES

RANK_OFFSET = (
    3.0  # how much better the first rank is than the second: published top-k figures give about 1 / (r + 3)
)
CROWD = 0.5  # how much of a kind's likelihood its alternatives at one place share …
FEW = 6  # … once there are more than these: the members of a short list have weights of their own

BANDS = (
    60,
    150,
    400,
)  # ranks after which lines are left for later: a project of a thousand lines has half a million edits
LIKELIEST = 2.5  # weight of an edit on such a line above which its place in the order is not exact

READ_AGAIN = 2.5  # how much likelier an edit is that reads a name which nothing else in its function reads


Place = tuple[str, int]  # path and line


@dataclass(frozen=True, slots=True)
class Ranked:
    """Edits that make one candidate, with their cost; lower is tried earlier."""

    cost: float
    edits: tuple[Edit, ...]


def expected_ranks(scores: Mapping[Place, float]) -> dict[Place, float]:
    """Rank of each line, best 1; lines that tie share the middle of their places."""
    ranks: dict[Place, float] = {}
    place = 0
    groups = Counter(scores.values())
    middles = {}
    for score in sorted(groups, reverse=True):
        middles[score] = place + (groups[score] + 1) / 2
        place += groups[score]
    for line, score in scores.items():
        ranks[line] = middles[score]
    return ranks


def bands(scores: Mapping[Place, float]) -> list[tuple[float, frozenset[Place]]]:
    """The suspected lines in bands of rank, the best first, each with the least that an edit in it costs."""
    ranks = expected_ranks(scores)
    edges = [0.0, *BANDS, math.inf]
    found = [
        (low, frozenset(line for line, rank in ranks.items() if low < rank <= high))
        for low, high in pairwise(edges)
    ]
    return [(math.log(low + 1 + RANK_OFFSET) - math.log(LIKELIEST), lines) for low, lines in found if lines]


def statement_lines(source: Source) -> dict[int, int]:
    """For each line, the first line of the statement (its header only, for compound ones) that it belongs to."""
    owner: dict[int, int] = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.stmt):
            last = node.end_lineno or node.lineno
            body = getattr(node, "body", None)
            if isinstance(body, list) and body:
                last = max(node.lineno, body[0].lineno - 1)
            for line in range(node.lineno, last + 1):
                if owner.get(line, 0) < node.lineno:
                    owner[line] = node.lineno
    return owner


def generate(
    sources: Mapping[str, Source],
    scores: Mapping[Place, float],
    seed: int = 0,
    likelier: Mapping[str, float] = MappingProxyType({}),
    words: frozenset[str] = frozenset(),
    awaited: Sequence[str] = (),
    within: Collection[Place] | None = None,
    families: Collection[str] = tuple(FAMILIES),
) -> list[Ranked]:
    """Every single edit on the suspected lines, cheapest first; equal costs in an order that the seed decides.

    `likelier` says by which factor the failures make a kind of edit likelier, `words` are those of the failing tests, `awaited` the
    exceptions that they waited for in vain. Only lines `within`, when given, and templates of these `families`.
    """
    ranks = expected_ranks(scores)
    chance = random.Random(seed)
    found: list[tuple[float, float, Edit]] = []
    for file in Project(sources.values(), words, awaited).files:
        path = file.source.path
        lines = {
            line: rank
            for (p, line), rank in ranks.items()
            if p == path and (within is None or (p, line) in within)
        }
        if not lines:
            continue
        edits = list(_edits_of_file(file, lines, families))
        crowd = _crowds(edit for edit, _ in edits)
        for edit, rank in edits:
            cost = math.log(rank + RANK_OFFSET) - math.log(edit.weight * likelier.get(edit.kind, 1.0))
            cost += CROWD * math.log(max(1.0, crowd[edit.start, edit.end, edit.kind] / FEW))
            found.append((cost, chance.random(), edit))
    found.sort(key=lambda f: f[:2])
    return [Ranked(cost, (edit,)) for cost, _, edit in _unique(found)]


def _crowds(edits: Iterable[Edit]) -> dict[tuple[int, int, str], float]:
    """How many alternatives of a kind there are at each place; unlikely ones count for less than one."""
    total: dict[tuple[int, int, str], float] = {}
    most: dict[tuple[int, int, str], float] = {}
    for edit in edits:
        key = (edit.start, edit.end, edit.kind)
        total[key] = total.get(key, 0.0) + edit.weight
        most[key] = max(most.get(key, 0.0), edit.weight)
    return {key: weight / most[key] for key, weight in total.items()}


def _unique(found: Iterable[tuple[float, float, Edit]]) -> Iterator[tuple[float, float, Edit]]:
    seen: set[tuple[str, int, int, str]] = set()
    for item in found:
        edit = item[2]
        key = (edit.path, edit.start, edit.end, edit.text)
        if key not in seen:
            seen.add(key)
            yield item


def _edits_of_file(
    file: FileContext, lines: Mapping[int, float], families: Collection[str]
) -> Iterator[tuple[Edit, float]]:
    owner = statement_lines(file.source)
    scopes = {id(scope): scope for scope in (file.innermost(line) for line in lines)}
    for scope in scopes.values():
        ctx = Context(file, scope)
        nodes: Sequence[ast.AST] = [*([scope] if isinstance(scope, Function) else []), *ctx.nodes()]
        for node in nodes:
            line = _line(ctx, node)
            options = [lines[at] for at in (line, owner.get(line, line)) if at in lines]
            if isinstance(node, Function) and node is scope:
                body = [rank for at, rank in lines.items() if node.lineno <= at <= (node.end_lineno or 0)]
                options += [min(body) + 6] if body else []
            if options:
                for name in families:
                    for edit in FAMILIES[name](ctx, node):
                        yield _read_again(ctx, edit), min(options)


def _read_again(ctx: Context, edit: Edit) -> Edit:
    """An edit that reads what nothing in the function reads is likelier: the reading may be what was lost."""
    if any(re.search(rf"\b{name}\b(?!\s*=[^=])", edit.text) for name in ctx.unread):
        return replace(edit, weight=edit.weight * READ_AGAIN)
    return edit


def _line(ctx: Context, node: ast.AST) -> int:
    """The line of a node; parts of the tree without one (comprehensions, operators) borrow their parent's."""
    at: ast.AST | None = node
    while at is not None and not hasattr(at, "lineno"):
        at = ctx.parent(at)
    return getattr(at, "lineno", 0)
