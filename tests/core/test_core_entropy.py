"""A hundred spread streams meet what a test may make of its first read."""

from __future__ import annotations

import random
import secrets
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_agentflow.core.entropy import SPREAD_FROM, opening, reader

HUNDRED = range(120)


def first(k: int, size: int) -> bytes:
    return reader(SPREAD_FROM + k, random.Random(k).randbytes)(size)


@pytest.mark.parametrize("size", [4, 7, 8, 16, 32])
def test_every_residue_is_met_and_every_fiftieth_part_of_the_range(size: int) -> None:
    values = [int.from_bytes(first(k, size), "big") for k in HUNDRED]
    assert {v % 100 for v in values} == set(range(100))
    assert {v * 50 // 256**size for v in values} == set(range(50))


def test_a_uuid4_of_the_stream_keeps_its_residue() -> None:
    made = [uuid.UUID(bytes=first(k, 16), version=4) for k in HUNDRED]
    assert {u.int % 100 for u in made} == set(range(100))


def test_one_byte_takes_nearly_as_many_values_as_there_are_streams() -> None:
    assert len({first(k, 1) for k in HUNDRED}) > 100


def test_what_is_read_later_and_other_streams_are_left_to_chance() -> None:
    read = reader(SPREAD_FROM, random.Random(1).randbytes)
    plain = random.Random(1)
    assert read(4) != plain.randbytes(4)
    assert read(4) == plain.randbytes(4)
    assert reader(7, random.Random(1).randbytes)(8) == random.Random(1).randbytes(8)
    assert reader(SPREAD_FROM, secrets.token_bytes)(0) == b""


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=40))
def test_as_many_bytes_come_as_were_asked_for(k: int, drawn: bytes) -> None:
    assert len(opening(k, drawn)) == len(drawn)
