"""Which tests of a generated project are flaky, why, and because of whom? Known, because the project was made so.

`make(seed)` gives files and truth. Names, layout, order and wording vary with the seed; nothing in the project names a
category. Run as a script it writes a project and, beside it, the truth:

    python benchmarks/flaky_projects.py --seed 7 --into DIR
"""

from __future__ import annotations

import argparse
import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flaky_pieces import chance, moments, order, stable, world
from flaky_pieces.maker import Case, Maker, Piece


@dataclass
class Project:
    files: dict[str, str]
    truth: dict[str, dict[str, Any]]


def pieces_of(m: Maker) -> list[Piece]:
    return [
        *(order.victim(m, hidden=False) for _ in range(3)),
        *(order.victim(m, hidden=True) for _ in range(3)),
        order.victim_of_any(m),
        order.victim_of_both(m),
        order.victim_of_both(m),
        order.victim_cleaned(m),
        order.victim_cleaned(m),
        *(order.brittle(m, hidden=False) for _ in range(3)),
        *(order.brittle(m, hidden=True) for _ in range(2)),
        *(chance.entropy(m, p) for p in (0.5, 0.2, 0.05, 0.01)),
        *(chance.unseeded(m, p) for p in (0.5, 0.2, 0.05, 0.01)),
        *(chance.hashing(m) for _ in range(4)),
        *(moments.zone(m) for _ in range(3)),
        *(moments.day_time(m) for _ in range(2)),
        *(moments.window(m) for _ in range(2)),
        *(moments.race(m) for _ in range(2)),
        *(moments.async_timing(m) for _ in range(2)),
        *(moments.load(m) for _ in range(2)),
        *(world.collision(m) for _ in range(2)),
        *(world.not_idempotent(m) for _ in range(3)),
        *(world.leftover(m) for _ in range(2)),
        world.infrastructure(m),
        *(world.network(m) for _ in range(2)),
        *(world.float_tolerance(m) for _ in range(2)),
        *(world.resources(m) for _ in range(2)),
        *stable.lookalikes(m),
    ]


def make(seed: int, size: int = 130) -> Project:
    """A project of `size` tests, or as many as its fixed part needs."""
    m = Maker(seed)
    pieces = pieces_of(m)
    while sum(len(p.cases) for p in pieces) < size:
        pieces.append(stable.plain(m))
    cases = arrange(m, pieces)
    folder = m.random.choice(["tests", "checks", "tests/unit", "spec"])
    modules = split(m, cases)
    files = {
        "pyproject.toml": f'[tool.pytest.ini_options]\ntestpaths = ["{folder.split("/")[0]}"]\npythonpath = ["."]\n'
    }
    files[f"{m.package}/__init__.py"] = ""
    files |= {f"{m.package}/{name}.py": source for name, source in m.helpers.items()}
    heads = sorted({line for block in m.conftest for line in block.splitlines() if line.startswith("from ")})
    bodies = [
        "\n".join(x for x in block.splitlines() if not x.startswith("from ")).strip() for block in m.conftest
    ]
    files[f"{folder}/conftest.py"] = (
        "import pytest\n" + "\n".join(heads) + "\n\n\n" + "\n\n\n".join(bodies) + "\n"
    )
    for name, mine in modules:
        path = f"{folder}/test_{name}.py"
        files[path] = render(mine)
        for case in mine:
            case.nodeid = f"{path}::{case.name}"
    return Project(files, truth_of(pieces))


def arrange(m: Maker, pieces: list[Piece]) -> list[Case]:
    """A random order in which every piece's cases keep theirs."""
    total = sum(len(p.cases) for p in pieces)
    places = m.random.sample(range(total), total)
    placed: list[Case | None] = [None] * total
    at = 0
    for piece in pieces:
        mine = sorted(places[at : at + len(piece.cases)])
        at += len(piece.cases)
        for place, case in zip(mine, piece.cases, strict=True):
            case.name = m.test_name()
            placed[place] = case
    return [case for case in placed if case is not None]


def split(m: Maker, cases: list[Case]) -> list[tuple[str, list[Case]]]:
    names = sorted({m.word() for _ in range(m.random.randrange(6, 14))})
    cuts = sorted(m.random.sample(range(1, len(cases)), len(names) - 1))
    edges = [0, *cuts, len(cases)]
    return [(name, cases[edges[n] : edges[n + 1]]) for n, name in enumerate(names)]


def render(cases: list[Case]) -> str:
    imports = sorted(
        {line for case in cases for line in case.imports}, key=lambda x: (x.startswith("from"), x)
    )
    parts = ["\n".join(imports)]
    for case in cases:
        head = f"{case.decorator}\n" if case.decorator else ""
        parts.append(f"{head}def {case.name}({case.args}):\n" + textwrap.indent(case.body, "    "))
    return "\n\n\n".join(p for p in parts if p) + "\n"


def truth_of(pieces: list[Piece]) -> dict[str, dict[str, Any]]:
    truth: dict[str, dict[str, Any]] = {}
    for piece in pieces:
        for case in piece.cases:
            truth[case.nodeid] = {
                "category": case.category,
                "p": case.p,
                "culprits": [sorted(piece.cases[n].nodeid for n in group) for group in case.culprits],
                "partners": [piece.cases[n].nodeid for n in case.partners],
                "path": case.path,
                "group": case.group,
            }
    return truth


def write(project: Project, into: Path) -> None:
    for name, text in project.files.items():
        path = into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=130)
    parser.add_argument("--into", type=Path, required=True)
    options = parser.parse_args()
    project = make(options.seed, options.size)
    write(project, options.into)
    options.into.with_suffix(".truth.json").write_text(json.dumps(project.truth, indent=1), encoding="utf-8")
    print(f"{len(project.truth)} tests in {options.into}")


if __name__ == "__main__":
    main()
