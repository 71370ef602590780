"""How does a value cross from an untrusted process without any of its code: exact built-in types only."""

from __future__ import annotations

from typing import Any


class Opaque(ValueError):
    """A value that is not built of exact built-in types."""


def encode(value: Any, depth: int = 0) -> Any:
    """Tagged JSON of a plain value; raises Opaque for anything else, subclasses included."""
    kind = type(value)
    if depth > 30:
        raise Opaque("too deep")
    if value is None or kind in (bool, str):
        return value
    if kind in (int, complex):
        return {kind.__name__: repr(value)}
    if kind is float:
        return {"float": value.hex()}
    if kind in (bytes, bytearray):
        return {kind.__name__: value.hex()}
    if kind in (list, tuple):
        return {kind.__name__: [encode(v, depth + 1) for v in value]}
    if kind in (set, frozenset):
        return {kind.__name__: sorted((encode(v, depth + 1) for v in value), key=repr)}
    if kind is dict:
        return {"dict": [[encode(k, depth + 1), encode(v, depth + 1)] for k, v in value.items()]}
    raise Opaque(kind.__name__)


def decode(data: Any) -> Any:
    """The value again. Raises ValueError for what `encode` cannot have made."""
    if not isinstance(data, dict):
        return data
    ((tag, inner),) = data.items()
    if tag in ("int", "complex"):
        return {"int": int, "complex": complex}[tag](inner)
    if tag == "float":
        return float.fromhex(inner)
    if tag in ("bytes", "bytearray"):
        return bytes.fromhex(inner) if tag == "bytes" else bytearray.fromhex(inner)
    if tag in ("list", "tuple", "set", "frozenset"):
        made = [decode(v) for v in inner]
        return {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[tag](made)
    if tag == "dict":
        return {decode(k): decode(v) for k, v in inner}
    raise ValueError(f"unknown tag {tag!r}")


def show(data: Any, limit: int = 80) -> str:
    """For people."""
    try:
        text = repr(decode(data))
    except (ValueError, TypeError):
        text = repr(data)
    return text if len(text) <= limit else text[: limit - 1] + "…"
