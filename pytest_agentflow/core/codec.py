"""How does a frozen record become JSON and come back as the same record?"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, cast

T = TypeVar("T")


def encode(value: object) -> Any:
    """JSON primitives of a record: dataclasses become objects, tuples become lists, enums their values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(k): encode(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [encode(v) for v in (sorted(value) if isinstance(value, set | frozenset) else value)]
    return value


def decode(kind: type[T], data: Any) -> T:
    """The record of type `kind` that `encode` was given. Raises TypeError or ValueError when the data does not fit."""
    return cast(T, _decode(kind, data))


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _decode(kind: Any, data: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin in (Union, types.UnionType):
        if data is None:
            return None
        return _decode(next(a for a in typing.get_args(kind) if a is not type(None)), data)
    if origin in (tuple, frozenset, list):
        return _sequence(origin, typing.get_args(kind), data)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        inner = typing.get_args(kind)[1]
        return {k: _decode(inner, v) for k, v in data.items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = _hints(kind)
        return kind(**{name: _decode(hints[name], value) for name, value in data.items() if name in hints})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(data)
    return data


def _sequence(origin: Any, args: tuple[Any, ...], data: Any) -> Any:
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return tuple(_decode(args[0], v) for v in data)
    if origin is tuple:
        return tuple(_decode(a, v) for a, v in zip(args, data, strict=True))
    return origin(_decode(args[0], v) for v in data)
