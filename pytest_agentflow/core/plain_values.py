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
    if kind is int:
        return {"int": hex(value)}  # decimal digits are limited
    if kind is complex:
        return {"complex": [value.real.hex(), value.imag.hex()]}
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
    if tag == "int":
        return int(inner, 16)
    if tag == "complex":
        return complex(*map(float.fromhex, inner))
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


def near(
    value: Any, expected: Any, rel: float | None = None, abs_: float | None = None, nan_ok: bool = False
) -> bool:
    """What `pytest.approx` promises: within 1e-6 of the expected number or 1e-12, or the given tolerances; element by element.

    Raises TypeError for what is neither a number nor built of numbers.
    """
    if isinstance(expected, dict):
        return set(value) == set(expected) and all(
            near(value[k], e, rel, abs_, nan_ok) for k, e in expected.items()
        )
    if isinstance(expected, list | tuple):
        return len(value) == len(expected) and all(
            near(v, e, rel, abs_, nan_ok) for v, e in zip(value, expected, strict=True)
        )
    if not isinstance(expected, int | float | complex):
        if type(expected).__module__ not in ("builtins", "decimal", "fractions"):
            raise TypeError("approx of such a value")
        return bool(value == expected)
    if nan_ok and expected != expected and value != value:  # noqa: PLR0124
        return True
    relative = (1e-6 if rel is None else rel) * abs(expected)
    absolute = 1e-12 if abs_ is None else abs_
    tolerance = absolute if rel is None and abs_ is not None else max(relative, absolute)
    return bool(value == expected or abs(value - expected) <= tolerance)
