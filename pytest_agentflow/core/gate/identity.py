"""Are these two names the same test?

Reports, node ids and people spell one test in several ways. All of them meet in one key: the dotted module and class,
two colons, the name with its parameters. That is what every flavour of pytest's report still holds.
"""

from __future__ import annotations

import re

_MODULE = re.compile(r"\.py$")


def canonical(name: str) -> str:
    """The key of a test given as node id (`tests/test_a.py::C::test_x[p]`) or already as key.

    Parameters may hold anything, `::` and `/` too, so they are cut off first.
    """
    head, bracket, params = name.partition("[")
    parts = head.split("::")
    if len(parts) < 2:
        return name
    parts[0] = _MODULE.sub("", parts[0].replace("\\", "/")).replace("/", ".")
    return ".".join(parts[:-1]) + "::" + parts[-1] + bracket + params


def join(fields: tuple[str, ...]) -> str:
    """The key of a case from the fields that its producer's scheme names; empty ones are left out."""
    return "::".join(f for f in fields if f)


def parameters(identity: str) -> str:
    """What stands in brackets at the end, or nothing."""
    return identity[identity.index("[") :] if "[" in identity else ""
