from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.data.draws import bits, order, uniform

PINNED = [12611586737845878806, 14699802593282231107, 15822321483976438060]
INTEGERS = st.integers(-(2**63), 2**63 - 1)


def test_the_hash_stays_what_it_is() -> None:
    # computed once with Python's own integers; another value would change every run's meaning
    assert [int(word) for word in bits(7, "probe/crop", 3, np.arange(3))] == PINNED
    assert python_bits(7, "probe/crop", 3, 1) == PINNED[1]


def python_bits(seed: int, stream: str, *counters: int) -> int:
    limit = 2**64
    state = int.from_bytes(hashlib.sha256(f"{seed}/{stream}".encode()).digest()[:8], "little")
    for counter in counters:
        state = (state + 0x9E3779B97F4A7C15 * (counter + 1)) % limit
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % limit
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB % limit
        state ^= state >> 31
    return state


@settings(deadline=None)  # the machine may be busy
@given(INTEGERS, st.text(), st.lists(INTEGERS, max_size=4))
def test_a_draw_is_a_pure_function_in_0_to_1(seed: int, stream: str, counters: list[int]) -> None:
    one = uniform(seed, stream, *counters)
    assert one.shape == ()
    assert 0 <= one < 1
    assert one == uniform(seed, stream, *counters)
    assert int(bits(seed, stream, *counters)) == python_bits(seed, stream, *counters)


def test_counters_broadcast_and_elements_do_not_depend_on_each_other() -> None:
    whole = uniform(0, "s", 5, np.arange(6)[:, None], np.arange(4))
    assert whole.shape == (6, 4)
    assert uniform(0, "s", 5, 3, 2) == whole[3, 2]
    assert np.array_equal(
        uniform(0, "s", 5, np.array([4, 1])[:, None], [3, 0]), whole[[4, 1]][:, [3, 0]]
    )


def test_every_argument_matters() -> None:
    draws = {
        float(uniform(seed, stream, *counters))
        for seed, stream, counters in [
            (0, "a", (0, 1)),
            (1, "a", (0, 1)),
            (0, "b", (0, 1)),
            (0, "a", (1, 0)),
            (0, "a", (0,)),
        ]
    }
    assert len(draws) == 5


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_draws_are_uniform_and_neighbours_are_independent(axis: int) -> None:
    grid = uniform(3, "x", *np.ogrid[:32, :32, :32])
    counts = np.histogram(grid, 64, (0, 1))[0]
    chi2 = ((counts - grid.size / 64) ** 2 / (grid.size / 64)).sum()
    assert 25 < chi2 < 130  # 63 degrees of freedom: far tails on both sides
    first, second = np.take(grid, range(31), axis), np.take(grid, range(1, 32), axis)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.03


def test_seeds_next_to_each_other_are_independent() -> None:
    streams = np.stack([uniform(seed, "x", np.arange(4000)) for seed in range(8)])
    off_diagonal = np.corrcoef(streams) - np.eye(8)
    assert np.abs(off_diagonal).max() < 0.08


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.integers(0, 10_000), unique=True), st.integers(0, 99))
def test_order_is_a_permutation_of_the_set(samples: list[int], epoch: int) -> None:
    found = order(1, "full", epoch, samples)
    assert sorted(found.tolist()) == sorted(samples)
    assert np.array_equal(found, order(1, "full", epoch, samples[::-1]))


def test_orders_differ_by_seed_phase_and_epoch() -> None:
    orders = {
        tuple(order(*key, np.arange(50)).tolist())
        for key in [(0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1)]
    }
    assert len(orders) == 4


def test_every_sample_comes_first_about_equally_often() -> None:
    first = [order(0, "a", epoch, np.arange(10))[0] for epoch in range(1000)]
    assert np.bincount(first, minlength=10).min() > 60
    assert np.bincount(first, minlength=10).max() < 145
