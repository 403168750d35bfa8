from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.history import EpochRecord, wilson


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_wilsons(right: int, count: int, low: float, high: float) -> None:
    assert wilson(right / count, count) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10**7), st.floats(0, 1))
def test_the_interval_holds_the_rate_and_narrows(count: int, rate: float) -> None:
    low, high = wilson(rate, count)
    assert 0 <= low <= rate + 1e-12
    assert rate - 1e-12 <= high <= 1
    wider = wilson(rate, max(1, count // 2))
    assert high - low <= wider[1] - wider[0] + 1e-12


def test_nothing_is_known_of_no_image() -> None:
    assert wilson(0.0, 0) == (0.0, 1.0)


def test_a_record_is_json() -> None:
    record = EpochRecord(
        phase="full",
        epoch=1,
        step=3,
        loss=0.5,
        terms={"ce": 0.5},
        top1=None,
        macro_f1=None,
        lr=0.1,
        images_per_second=2.0,
        seconds=1.0,
    )
    told = json.loads(json.dumps(record.to_json()))
    assert told["top1"] is None
    assert EpochRecord(**told) == record == replace(record)
