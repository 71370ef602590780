"""Reports of every producer, bent in every way: does the gate keep its manners, and does it notice what was lost?"""

from __future__ import annotations

import io
import random
import re
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from xml.etree import ElementTree

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


_CASE = re.compile(rb"<testcase\b(?:[^>\"']|\"[^\"]*\"|'[^']*')*?(?:/>|>.*?</testcase>)", re.S)
_COUNTER = re.compile(rb'(tests|failures|errors|skipped)="(\d+)"')
_OUTCOME = re.compile(rb"<(failure|error|skipped)\b[^>]*?(?:/>|>.*?</\1>)", re.S)


def greens() -> list[tuple[str, bytes]]:
    """The stored reports with nothing left in them but what passed, and counters that say so."""
    found = []
    for name, data in samples():
        rest = _CASE.sub(lambda m: m[0] if _passes(m[0]) else b"", data)
        kept = {re.sub(rb'time="[^"]*"', b"", c) for c in _CASE.findall(rest)}
        if len(kept) < 2 or len(kept) < len(_CASE.findall(rest)):
            continue
        root = ElementTree.fromstring(rest)
        for suite in root.iter():
            held = str(sum(1 for _ in suite.iter("testcase")))
            if suite.tag in ("testsuite", "testsuites"):
                changed = {"tests": held, "failures": "0", "errors": "0", "skipped": "0", "disabled": "0"}
                suite.attrib.update({k: v for k, v in changed.items() if k in suite.attrib})
        found.append((name, ElementTree.tostring(root)))
    return found


def _passes(case: bytes) -> bool:
    return not re.search(
        rb"<(failure|error|skipped|flaky|rerun)|status=\"notrun|result=\"(suppressed|skipped)", case
    )


def bereft(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """The report with evidence taken away (or a claim of more than there is), and what was done. Only where counters tell."""
    cases = list(_CASE.finditer(data))
    counters = [m for m in _COUNTER.finditer(data) if m[1] == b"tests" and m.start() < cases[0].start()]
    outcomes = list(_OUTCOME.finditer(data))
    kind = rng.choice(["cut", "drop", "claim", "garble", "strip"])
    if kind == "drop" and cases and counters:
        gone = set(rng.sample(range(len(cases)), rng.randint(1, len(cases))))
        pieces = [data[: cases[0].start()]]
        for n, found in enumerate(cases):
            end = cases[n + 1].start() if n + 1 < len(cases) else len(data)
            pieces.append((b"" if n in gone else found[0]) + data[found.end() : end])
        return kind, b"".join(pieces)
    if kind == "claim" and counters:
        found = rng.choice(list(_COUNTER.finditer(data)))
        more = str(int(found[2]) + rng.choice([1, 2, 10**6, 10**30])).encode()
        return kind, data[: found.start(2)] + more + data[found.end(2) :]
    if kind == "garble" and counters:
        found = rng.choice(list(_COUNTER.finditer(data)))
        return kind, data[: found.start(2)] + rng.choice([b"-1", b"NaN", b"1e9", b"many", b"0x3"]) + data[
            found.end(2) :
        ]
    if kind == "strip" and outcomes and counters:
        for found in reversed(outcomes):  # every failure and skip reads as a pass
            data = data[: found.start()] + data[found.end() :]
        return kind, data
    end = data.rindex(b"</")  # without its last tag at the latest
    return "cut", data[: rng.randrange(end)]


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
