from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.training.order import batches, class_weights, epoch_order

TARGETS = np.array([0] * 90 + [1] * 9 + [2])
counts = st.lists(st.integers(1, 30), min_size=2, max_size=6)


def test_an_epoch_visits_each_sample_once_in_an_order_of_its_own() -> None:
    orders = [epoch_order(1, "probe", epoch, TARGETS, balanced=False) for epoch in (0, 1, 0)]
    for order in orders:
        assert sorted(order) == [*range(100)]
    assert (orders[0] == orders[2]).all()
    assert (orders[0] != orders[1]).any()
    assert (orders[0] != epoch_order(2, "probe", 0, TARGETS, balanced=False)).any()
    assert (orders[0] != epoch_order(1, "full", 0, TARGETS, balanced=False)).any()


def test_a_balanced_epoch_draws_every_class_equally_often() -> None:
    drawn = np.concatenate(
        [epoch_order(0, "probe", epoch, TARGETS, balanced=True) for epoch in range(200)]
    )
    assert len(drawn) == 200 * len(TARGETS)
    shares = np.bincount(TARGETS[drawn]) / len(drawn)
    assert shares == pytest.approx([1 / 3] * 3, abs=0.02)
    assert set(drawn) == {*range(100)}


@given(counts, st.integers(0, 3))
def test_a_balanced_epoch_names_only_samples_that_there_are(sizes: list[int], epoch: int) -> None:
    targets = np.repeat(np.arange(len(sizes)), sizes)
    drawn = epoch_order(0, "p", epoch, targets, balanced=True)
    assert drawn.shape == targets.shape
    assert drawn.min() >= 0
    assert drawn.max() < len(targets)


@given(counts)
def test_class_weights_have_mean_one_and_make_classes_equally_heavy(sizes: list[int]) -> None:
    targets = np.repeat(np.arange(len(sizes)), sizes)
    weights = class_weights(targets)
    assert weights.mean() == pytest.approx(1)
    heavy = np.bincount(targets, weights)
    assert heavy == pytest.approx(np.full(len(sizes), len(targets) / len(sizes)))


def test_a_last_sample_alone_joins_the_batch_before_it() -> None:
    assert [len(one) for one in batches(np.arange(9), 4)] == [4, 5]
    assert [len(one) for one in batches(np.arange(8), 4)] == [4, 4]
    assert [len(one) for one in batches(np.arange(10), 4)] == [4, 4, 2]
    assert [len(one) for one in batches(np.arange(1), 4)] == [1]
    assert [len(one) for one in batches(np.arange(3), 1)] == [1, 1, 1]
