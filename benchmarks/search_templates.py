"""Which seeded bugs can the search's templates undo at all, and how early, if the faulty line is known? No test is run.

    python benchmarks/search_templates.py PROJECT.tar.gz… --bugs 20

An upper bound for benchmarks/search.py: the line of the bug and two lines on either side are equally suspect, and the place
in the queue of the first single edit that gives back the original (as a syntax tree) is told. Equivalent repairs and second
edits are not counted.
"""

from __future__ import annotations

import argparse
import ast
import random
import re
import statistics
import tarfile
from collections import defaultdict
from pathlib import Path

from search_projects import TEST_PARTS
from seeding import Bug, bugs

from pytest_agentflow.agents.search.edits import Edit, Source
from pytest_agentflow.agents.search.order import generate

AROUND = 2  # lines on either side that are as suspect as the faulty one
EARLY = 300  # candidates: about what a second of screening tries
WINDOW = 200  # characters around an edit that must occur in the original


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("projects", nargs="+", type=Path)
    parser.add_argument("--bugs", type=int, default=20, help="per project")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--missed", action="store_true", help="print what no template undoes")
    args = parser.parse_args()
    places: dict[str, list[int | None]] = defaultdict(list)
    for archive in args.projects:
        texts, words = read(archive)
        pool = [(path, bug) for path, text in texts.items() for bug in bugs(text, args.seed)]
        random.Random(f"{archive.name}{args.seed}").shuffle(pool)
        for path, bug in fairly(pool, args.bugs):
            at = place(path, bug, texts[path], words)
            places[bug.kind].append(at)
            if at is None and args.missed:
                print(f"{archive.name} {path}:{bug.line} {bug.kind}: {bug.what}")
    summary(places)
    return 0


def read(archive: Path) -> tuple[dict[str, str], frozenset[str]]:
    """The project's own modules, and the words of its tests."""
    texts: dict[str, str] = {}
    words: set[str] = set()
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = member.name.split("/")[1:]
            if member.isfile() and member.name.endswith(".py"):
                text = tar.extractfile(member).read().decode("utf-8", "replace")  # type: ignore[union-attr]
                if any(part.startswith(TEST_PARTS) for part in parts):
                    words.update(re.findall(r"[A-Za-z_][\w-]{2,30}", text))
                elif member.size > 400:
                    texts["/".join(parts)] = text
    return texts, frozenset(words)


def fairly(pool: list[tuple[str, Bug]], most: int) -> list[tuple[str, Bug]]:
    """The first bugs of the pool, each kind in turn."""
    by_kind: dict[str, list[tuple[str, Bug]]] = defaultdict(list)
    for path, bug in pool:
        by_kind[bug.kind].append((path, bug))
    rounds = (group[n] for n in range(most) for group in by_kind.values() if n < len(group))
    return [found for _, found in zip(range(most), rounds, strict=False)]


def place(path: str, bug: Bug, text: str, words: frozenset[str]) -> int | None:
    original = ast.dump(ast.parse(text))
    try:
        source = Source(path, bug.source.encode())
    except SyntaxError:
        return None
    scores = {(path, n): 0.5 for n in range(bug.line - AROUND, bug.line + AROUND + 1)}
    whole = squeezed(text)
    for n, ranked in enumerate(generate({path: source}, scores, 1, words=words), 1):
        if squeezed(around(source, ranked.edits[0])) in whole and same(
            source.patched(ranked.edits), original
        ):
            return n
    return None


def around(source: Source, edit: Edit) -> str:
    before, after = source.text[max(0, edit.start - WINDOW) : edit.start], source.text[edit.end :][:WINDOW]
    return before + edit.text + after


def squeezed(text: str) -> str:
    """A cheap test before parsing: what is left without layout, quotes and parentheses."""
    return re.sub(r"[\s()'\",]", "", text)


def same(data: bytes, original: str) -> bool:
    try:
        return ast.dump(ast.parse(data)) == original
    except SyntaxError:
        return False


def summary(places: dict[str, list[int | None]]) -> None:
    print(
        "| kind | bugs | undone by a single edit | median place | among the first 300 |\n|---|---|---|---|---|"
    )
    every = [p for group in places.values() for p in group]
    for kind, group in [*sorted(places.items()), ("all", every)]:
        found = [p for p in group if p is not None]
        early = sum(p <= EARLY for p in found)
        print(
            f"| {kind} | {len(group)} | {len(found)} | {statistics.median(found) if found else '-'} | {early} |"
        )


if __name__ == "__main__":
    raise SystemExit(main())
