"""Reports of every producer, bent in every way, and the question whether the gate kept its manners."""

from __future__ import annotations

import io
import random
import re
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from pytest_agentflow.cli import main

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "junit"
_TOKENS = [
    b"<", b">", b"&", b"&amp;", b"]]>", b"<![CDATA[", b"<!--", b"-->", b"\x00", b"\x01", b"\xff\xfe", b"\xed\xa0\x80", b'"', b"'", b"<failure/>",
    b"<testcase/>", b"<testcase>", b"</testcase>", b"<testsuite>", b"</testsuite>", b"<skipped/>", b"<error message='x'/>", b"<?xml version='1.0'?>",
    b"<!DOCTYPE a>", b"<!ENTITY a 'b'>", b"&#0;", b"&#x1F600;", b"::error::x\n", b"%", b"name=", b"9" * 400, b"\xe2\x80\xae", b"\xc3\x28",
]  # fmt: skip


def samples() -> list[tuple[str, bytes]]:
    """The stored reports, by producer."""
    return [(path.stem, path.read_bytes()) for path in sorted(FIXTURES.glob("*.xml"))]


def mutate(data: bytes, rng: random.Random, other: bytes) -> bytes:  # noqa: C901 - one branch per kind of edit
    """One to four edits: flips, cuts, doublings, insertions, swaps of tags and attributes, a splice with another report."""
    for _ in range(rng.randint(1, 4)):
        at, to = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        to = min(to, at + rng.choice([1, 8, 64, 4000]))
        kind = rng.randrange(9)
        if kind == 0 and data:
            n = min(at, len(data) - 1)
            data = data[:n] + bytes([rng.randrange(256)]) + data[n + 1 :]
        elif kind == 1:
            data = data[:at] + data[to:]
        elif kind == 2:
            data = data[:to] + data[at:to] * rng.choice([1, 1, 3]) + data[to:]
        elif kind == 3:
            data = data[:at] + rng.choice(_TOKENS) + data[at:]
        elif kind == 4:
            data = data[:at]
        elif kind == 5:
            data = data[:at] + other[rng.randrange(len(other) + 1) :]
        elif kind == 6:
            tags = sorted(set(re.findall(rb"</?([A-Za-z-]+)", data)))
            if tags:
                data = data.replace(
                    rng.choice(tags),
                    rng.choice([*tags, b"x", b"testcase", b"failure"]),
                    rng.choice([1, 2, 50]),
                )
        elif kind == 7:
            data = re.sub(
                rb'"[^"]*"',
                lambda m: rng.choice([b'""', b'"-1"', b'"NaN"', b'"1e999"', m[0]]),
                data,
                count=rng.randint(1, 20),
            )
        elif kind == 8 and rng.random() < 0.2:
            data = data.decode("utf-8", "replace").encode(
                rng.choice(["utf-16", "utf-32", "latin-1", "utf-7"]), "replace"
            )
        if len(data) > 300_000:
            data = data[:300_000]
    return data


def unsettled(path: Path) -> tuple[int, str]:
    """The exit code of the gate, and what it did wrong, if anything."""
    out, err = io.StringIO(), io.StringIO()
    out.reconfigure = lambda **_: None  # type: ignore[attr-defined]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main(
                [
                    "gate",
                    str(path),
                    "--markdown",
                    f"{path}.md",
                    "--sarif",
                    f"{path}.sarif",
                    "--junit",
                    f"{path}.junit",
                    "--html",
                    f"{path}.html",
                    "--json",
                    f"{path}.json",
                    "--no-github",
                ]
            )
    except BaseException as error:
        return -1, f"raised {type(error).__name__}: {error}"
    said = (out.getvalue() or err.getvalue()).splitlines()
    if code not in (0, 1, 2, 3):
        return code, f"exit {code}"
    if not said or not re.match(r"gate: (pass|blocked|cannot judge|bad configuration): \S", said[0]):
        return code, f"no one-line reason: {said[:1]}"
    if "Traceback" in out.getvalue() + err.getvalue() or "internal error" in said[0]:
        return code, said[0]
    return code, ""
