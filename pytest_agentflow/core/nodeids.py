"""What does a node id say of itself? `path::Class::function[parameters]`; in reports the path is a dotted module."""

from __future__ import annotations


def function_of(nodeid: str) -> str:
    """The id of the test function, without parameters. Those may hold anything, and a path may hold brackets."""
    path, separator, rest = nodeid.partition("::")
    return path + separator + rest.partition("[")[0] if separator else nodeid.partition("[")[0]
