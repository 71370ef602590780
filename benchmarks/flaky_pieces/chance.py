"""Tests that hang on a seed, on entropy, on the hash seed."""

from __future__ import annotations

from flaky_pieces.maker import Case, Maker, Piece


def entropy(m: Maker, p: float) -> Piece:
    n = round(1 / p)
    forms = [
        (f"assert secrets.randbelow({n}) != {m.random.randrange(n)}", "import secrets"),
        (f"assert int.from_bytes(os.urandom(4), 'big') % {n} != {m.random.randrange(n)}", "import os"),
        (f"assert uuid.uuid4().int % {n} != {m.random.randrange(n)}", "import uuid"),
        (f"value = random.SystemRandom().random()\nassert value >= {p}", "import random"),
    ]
    body, use = forms[m.random.randrange(len(forms))]
    return Piece([Case(body, "randomness", p=p, imports=(use,))])


def unseeded(m: Maker, p: float) -> Piece:
    n = round(1 / p)
    forms = [
        (f"assert random.random() >= {p}", p),
        (f"assert random.randrange({n}) != {m.random.randrange(n)}", 1 / n),
        (
            f"items = list(range({n}))\nrandom.shuffle(items)\nassert items[0] != {m.random.randrange(n)}",
            1 / n,
        ),
        (f"assert random.choice(range({n})) != {m.random.randrange(n)}", 1 / n),
        (
            f"assert sum(random.random() < 0.5 for _ in range(3)) < 3 or random.random() >= {min(1.0, 8 * p)}",
            min(1.0, 8 * p) / 8,
        ),
    ]
    body, true_p = forms[m.random.randrange(len(forms))]
    return Piece([Case(body, "rng_unseeded", p=true_p, imports=("import random",))])


def hashing(m: Maker) -> Piece:
    words = [m.word() for _ in range(m.random.randrange(2, 5))]
    h = m.helper(f"def names():\n    return list(set({words!r}))")
    forms = [
        (f"assert list(set({words!r}))[0] == {words[0]!r}", ()),
        (f"found = {{w for w in {words!r}}}\nassert ','.join(found).startswith({words[1]!r})", ()),
        (f"assert hash({words[0]!r}) % 2 == {m.random.randrange(2)}", ()),
        (f"assert {h}.names()[-1] == {words[0]!r}", (f"from {m.package} import {h}",)),
    ]
    body, use = forms[m.random.randrange(len(forms))]
    return Piece([Case(body, "hash_seed", imports=use)])
