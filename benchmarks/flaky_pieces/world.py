"""Tests that hang on files, ports, services, limits, or on their own earlier runs."""

from __future__ import annotations

import textwrap

from flaky_pieces.maker import Case, Maker, Piece


def collision(m: Maker) -> Piece:
    kind = m.random.randrange(2)
    if kind == 0:
        port = m.random.randrange(20_000, 32_000)
        cases = [
            Case(
                f"with socket.socket() as s:\n    s.bind(('127.0.0.1', {port}))\n    s.listen()\n    time.sleep(0.04)\n    assert s.getsockname()[1] == {port}",
                "parallel_collision",
                imports=("import socket", "import time"),
            )
            for _ in range(2)
        ]
    else:
        name = m.word() + ".lock"
        cases = [
            Case(
                f"path = pathlib.Path({name!r})\nwith path.open('x'):\n    pass\ntry:\n    time.sleep(0.04)\nfinally:\n    path.unlink()\nassert not path.exists()",
                "parallel_collision",
                imports=("import pathlib", "import time"),
                path=name,
            )
            for _ in range(2)
        ]
    for n, case in enumerate(cases):
        case.partners = [1 - n]
    return Piece(cases)


def not_idempotent(m: Maker) -> Piece:
    h = m.helper(
        "_known = {}\n\ndef register(name):\n    if name in _known:\n        raise ValueError(f'{name} is taken')\n    _known[name] = len(_known)\n\ncounter = 0\n\ndef tick():\n    global counter\n    counter += 1\n    return counter"
    )
    forms = [f"{h}.register({m.word()!r})", f"assert {h}.tick() == 1"]
    return Piece(
        [Case(forms[m.random.randrange(2)], "non_idempotent", imports=(f"from {m.package} import {h}",))]
    )


def leftover(m: Maker) -> Piece:
    name = m.word()
    forms = [
        (f"os.mkdir({name!r})\nassert os.path.isdir({name!r})", "import os", name),
        (
            f"path = pathlib.Path({name + '.txt'!r})\nassert not path.exists()\npath.write_text('1')",
            "import pathlib",
            name + ".txt",
        ),
        (
            f"path = pathlib.Path.home() / {'.' + name!r}\nwith path.open('a') as f:\n    f.write('x')\nassert path.read_text() == 'x'",
            "import pathlib",
            "." + name,
        ),
    ]
    body, use, path = forms[m.random.randrange(len(forms))]
    return Piece([Case(body, "leftover_state", imports=(use,), path=path)])


def infrastructure(m: Maker) -> Piece:
    fixture, p = m.word(), m.random.choice([0.15, 0.25, 0.4])
    scope = m.random.choice(["function", "module", "session"])
    service = m.word()
    m.helpers[service] = textwrap.dedent(
        f"""
        import random


        class {service.capitalize()}Error(Exception):
            pass


        def connect():
            if random.SystemRandom().random() < {p}:
                raise {service.capitalize()}Error("no answer from the {service} backend")
            return {{"ok": True}}
        """
    ).lstrip()
    m.conftest.append(
        f"from {m.package} import {service}\n\n\n@pytest.fixture(scope={scope!r})\ndef {fixture}():\n    return {service}.connect()\n"
    )
    return Piece(
        [
            Case(
                f"assert {fixture}['ok']",
                "infrastructure",
                p=p if scope == "function" else None,
                args=fixture,
                group=fixture,
            )
            for _ in range(4)
        ]
    )


def network(m: Maker) -> Piece:
    h = m.helper(
        """
        import random
        import socket
        import threading


        def ask():
            server = socket.socket()
            server.bind(("127.0.0.1", 0))
            server.listen()
            address = server.getsockname()
            drop = random.SystemRandom().random() < 0.3

            def serve():
                peer, _ = server.accept()
                if not drop:
                    peer.sendall(b"pong")
                peer.close()
                server.close()

            worker = threading.Thread(target=serve)
            worker.start()
            try:
                with socket.create_connection(address, timeout=5) as s:
                    data = s.recv(4)
            finally:
                worker.join()
            if not data:
                raise ConnectionResetError("the peer closed the connection")
            return data
        """
    )
    return Piece(
        [Case(f"assert {h}.ask() == b'pong'", "network", p=0.3, imports=(f"from {m.package} import {h}",))]
    )


def float_tolerance(m: Maker) -> Piece:
    n = m.random.randrange(6, 14)
    values = [round(m.random.uniform(0.01, 3.0), 2) for _ in range(n)]
    h = m.helper(
        f"VALUES = {values!r}\n\ndef total(values):\n    result = 0.0\n    for value in values:\n        result += value\n    return result"
    )
    body = f"values = list({h}.VALUES)\nrandom.shuffle(values)\nassert {h}.total(values) == {h}.total({h}.VALUES)"
    return Piece([Case(body, "float_tolerance", imports=(f"from {m.package} import {h}", "import random"))])


def resources(m: Maker) -> Piece:
    limit = m.random.choice([40, 60])
    p = m.random.choice([0.2, 0.3])
    h = m.helper(
        f"""
        import os
        import random
        import resource


        def fan_out():
            used = len(os.listdir("/proc/self/fd"))
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + {limit}, hard))
            wanted = {limit} * 2 if random.SystemRandom().random() < {p} else {limit} // 2
            held = []
            try:
                for _ in range(wanted):
                    held.append(open(os.devnull))
                return len(held)
            finally:
                for handle in held:
                    handle.close()
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        """
    )
    return Piece(
        [
            Case(
                f"assert {h}.fan_out() > 0",
                "resource_exhaustion",
                p=p,
                imports=(f"from {m.package} import {h}",),
            )
        ]
    )
