from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.errors import UsageError
from zoo.grid import MOST, parse, problems


def test_a_sweep_is_every_combination_in_the_order_written() -> None:
    assert parse("lr:0.01/1e-3,weight_decay:1/10") == (
        {"lr": 0.01, "weight_decay": 1.0},
        {"lr": 0.01, "weight_decay": 10.0},
        {"lr": 0.001, "weight_decay": 1.0},
        {"lr": 0.001, "weight_decay": 10.0},
    )
    assert parse("") == ()


def test_a_range_has_both_ends_and_even_steps_of_half_a_decade_or_less() -> None:
    found = [one["lr"] for one in parse("lr:1e-4..1e-2")]
    assert found == [1e-4, 0.000316228, 1e-3, 0.00316228, 1e-2]
    assert [one["weight_decay"] for one in parse("weight_decay:1..100x3")] == [1, 10, 100]


@given(st.integers(-6, 0), st.integers(1, 7), st.integers(2, 60))
def test_the_values_of_a_range_rise_from_end_to_end(low: int, decades: int, count: int) -> None:
    ends = 10.0**low, 10.0 ** min(low + decades, 2)
    found = [one["lr"] for one in parse(f"lr:{ends[0]:g}..{ends[1]:g}x{count}")]
    assert len(found) == count
    assert (found[0], found[-1]) == pytest.approx(ends)
    assert found == sorted(set(found))
    ratios = [math.log(b / a) for a, b in pairwise(found)]
    assert max(ratios) == pytest.approx(min(ratios), rel=1e-3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rate:1/2", "'rate:1/2' is not NAME:VALUES of something to sweep"),
        ("weight_decy:1", "(did you mean 'weight_decay'?)"),
        ("lr", "'lr' is not NAME:VALUES"),
        ("lr:", "lr wants a number"),
        ("lr:1/x", "lr wants a number from 0 to 100, not 'x'"),
        ("lr:1/1", "lr has a value twice"),
        ("lr:1,lr:2", "lr is given twice"),
        ("lr:1..0.1", "wants LOW..HIGH with 0 < LOW < HIGH"),
        ("lr:0..1", "wants LOW..HIGH with 0 < LOW < HIGH"),
        ("lr:0.1..1x1", f"wants 2 to {MOST} values"),
        ("lr:0.1..1x5000", f"wants 2 to {MOST} values"),
        ("lr:1e-5..101", "not '101'"),
        ("lr:1e-4..1x20,weight_decay:1..2x20", "400 settings are more than 256"),
    ],
)
def test_what_is_no_sweep_is_refused_with_its_reason(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert said in caught.value.message


def test_every_problem_of_a_sweep_is_told_at_once() -> None:
    assert len(problems("rate:1,lr:x,weight_decay:5..1")) == 3


@given(st.text(alphabet="lrweight_decay:,./x0123456789e-", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    if not problems(text):
        assert len(parse(text)) <= MOST
