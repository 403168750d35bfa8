from __future__ import annotations

import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zoo.data.crc import crc32


@given(st.binary(max_size=3000))
def test_whoever_computes_it_it_is_zlib_s(data: bytes) -> None:
    assert crc32(data) == zlib.crc32(data)


def test_of_an_array_s_memory() -> None:
    rows = np.arange(10_000, dtype=np.uint8).reshape(100, 100)
    assert crc32(rows.data) == zlib.crc32(rows.tobytes())
