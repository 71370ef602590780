"""Victims and brittle tests, with those that make them so."""

from __future__ import annotations

from flaky_pieces.maker import Case, Maker, Piece


def shared_state(m: Maker) -> tuple[str, str, str, str, tuple[str, ...]]:
    """(good state?, make bad, make good, helper's import, imports): a thing that tests can share."""
    kind = m.random.randrange(5)
    if kind == 0:
        h = m.helper(
            "TABLE = {}\n\ndef put(key, value):\n    TABLE[key] = value\n\ndef get(key):\n    return TABLE.get(key)"
        )
        key = m.word()
        use = f"from {m.package} import {h}"
        return (
            f"{h}.get({key!r}) is None",
            f"{h}.put({key!r}, 1)",
            f"{h}.TABLE.pop({key!r}, None)",
            use,
            (use,),
        )
    if kind == 1:
        name = m.word().upper()
        return (
            f"os.environ.get({name!r}) is None",
            f"os.environ[{name!r}] = 'on'",
            f"os.environ.pop({name!r}, None)",
            "import os",
            ("import os",),
        )
    if kind == 2:
        cls = m.word().capitalize()
        h = m.helper(
            f"class {cls}:\n    factor = 3\n\n    def scale(self, x):\n        return self.factor * x"
        )
        use = f"from {m.package}.{h} import {cls}"
        return f"{cls}().scale(2) == 6", f"{cls}.factor = 5", f"{cls}.factor = 3", use, (use,)
    if kind == 3:
        h = m.helper(
            "_seen = []\n\ndef visit(name):\n    _seen.append(name)\n    return len(_seen)\n\ndef seen():\n    return list(_seen)\n\ndef reset():\n    _seen.clear()"
        )
        use = f"from {m.package} import {h}"
        word = m.word()
        return f"{word!r} not in {h}.seen()", f"{h}.visit({word!r})", f"{h}.reset()", use, (use,)
    name = m.word()
    return (
        f"logging.getLogger({name!r}).level == 0",
        f"logging.getLogger({name!r}).setLevel(30)",
        f"logging.getLogger({name!r}).setLevel(0)",
        "import logging",
        ("import logging",),
    )


def victim(m: Maker, hidden: bool) -> Piece:
    good, bad, _, _, use = shared_state(m)
    v = Case(f"assert {good}", "order_victim", imports=use)
    p = Case(f"{bad}\nassert not ({good})", imports=use)
    if hidden:
        v.culprits = [[1]]
        return Piece([v, p])
    v.culprits = [[0]]
    return Piece([p, v])


def victim_of_any(m: Maker) -> Piece:
    good, bad, _, _, use = shared_state(m)
    cases = [
        Case(f"{bad}\nassert not ({good})", imports=use),
        Case(f"assert {good}", "order_victim", imports=use),
    ]
    cases.append(Case(f"{bad}\nassert True", imports=use))
    cases[1].culprits = [[0], [2]]
    if m.random.random() < 0.5:
        cases = [cases[1], cases[0], cases[2]]
        cases[0].culprits = [[1], [2]]
    return Piece(cases)


def victim_of_both(m: Maker) -> Piece:
    h = m.helper("STATE = {'left': 0, 'right': 0}\n\ndef total():\n    return STATE['left'] * STATE['right']")
    use = (f"from {m.package} import {h}",)
    a = Case(f"{h}.STATE['left'] += 2\nassert {h}.STATE['left']", imports=use)
    b = Case(f"{h}.STATE['right'] += 3\nassert {h}.STATE['right']", imports=use)
    v = Case(f"assert {h}.total() == 0", "order_victim", imports=use)
    if m.random.random() < 0.5:
        v.culprits = [[1, 2]]
        return Piece([v, a, b])
    v.culprits = [[0, 1]]
    return Piece([a, b, v])


def victim_cleaned(m: Maker) -> Piece:
    good, bad, clean, _, use = shared_state(m)
    p = Case(f"{bad}\nassert not ({good})", imports=use)
    c = Case(f"{clean}\nassert {good}", imports=use)
    v = Case(f"assert {good}", "order_victim", imports=use)
    v.culprits = [[0]]
    return Piece([p, c, v])


def brittle(m: Maker, hidden: bool) -> Piece:
    kind = m.random.randrange(3)
    if kind == 0:
        h = m.helper("READY = []\n\ndef prepare():\n    READY.append(1)\n\ndef fetch():\n    return READY[0]")
        use = (f"from {m.package} import {h}",)
        s, b = (
            Case(f"{h}.prepare()\nassert {h}.READY", imports=use),
            Case(f"assert {h}.fetch() == 1", "order_brittle", imports=use),
        )
    elif kind == 1:
        name = m.word().upper()
        s = Case(f"os.environ[{name!r}] = '7'\nassert os.environ[{name!r}]", imports=("import os",))
        b = Case(f"assert int(os.environ[{name!r}]) == 7", "order_brittle", imports=("import os",))
    else:
        h = m.helper("config = None\n\ndef setup(value):\n    global config\n    config = {'value': value}")
        use = (f"from {m.package} import {h}",)
        s = Case(f"{h}.setup(4)\nassert {h}.config", imports=use)
        b = Case(f"assert {h}.config['value'] == 4", "order_brittle", imports=use)
    if hidden:
        b.culprits = [[1]]
        return Piece([b, s])
    b.culprits = [[0]]
    return Piece([s, b])
