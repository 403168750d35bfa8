from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

from zoo.training.prefetch import Prefetched

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCHES = [np.array([4, 1]), np.array([0, 3]), np.array([2, 5, 6])]
SOON = 10.0


class Told:
    """A feed that gives epoch and samples, and notes when and how it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, list[int]]] = []
        self.begun: list[list[int]] = []
        self.threads: set[int] = set()
        self.names: set[str] = set()
        self.ready = threading.Semaphore(0)
        self.broken = -1

    def begin(self, batches: Sequence[np.ndarray]) -> None:
        self.begun.append(np.concatenate(batches).tolist())

    def batch(self, epoch: int, samples: np.ndarray) -> Tensor:
        self.asked.append((epoch, samples.tolist()))
        self.threads.add(torch.get_num_threads())
        self.names.add(threading.current_thread().name)
        self.ready.release()
        if self.broken in samples:
            raise ValueError("broken")
        return torch.tensor([epoch, *samples.tolist()])

    def expect(self, samples: np.ndarray) -> None:
        raise AssertionError(samples)


def test_batches_are_those_of_the_feed_and_each_is_made_once() -> None:
    fed = Prefetched(told := Told())
    found = []
    for epoch in range(2):
        fed.begin(BATCHES)
        for samples in BATCHES:
            found.append(fed.batch(epoch, samples).tolist())
            fed.expect(samples)
    wanted = [(epoch, samples.tolist()) for epoch in range(2) for samples in BATCHES]
    assert found == [[epoch, *samples] for epoch, samples in wanted]
    assert told.asked == wanted
    assert told.begun == 2 * [np.concatenate(BATCHES).tolist()]


def test_the_next_batch_is_made_before_it_is_asked_for_and_no_further_one() -> None:
    fed = Prefetched(told := Told())
    fed.begin(BATCHES)
    fed.batch(0, BATCHES[0])
    assert all(told.ready.acquire(timeout=SOON) for _ in range(2))
    assert not told.ready.acquire(timeout=0.05)
    assert told.asked == [(0, [4, 1]), (0, [0, 3])]


def test_what_is_asked_for_is_given_even_where_another_batch_was_expected() -> None:
    fed = Prefetched(Told())
    fed.begin(BATCHES)
    fed.batch(0, BATCHES[0])
    assert fed.batch(0, BATCHES[2]).tolist() == [0, 2, 5, 6]
    assert fed.batch(1, BATCHES[1]).tolist() == [1, 0, 3]


def test_an_error_is_raised_when_its_own_batch_is_asked_for() -> None:
    fed = Prefetched(told := Told())
    told.broken = 3
    fed.begin(BATCHES)
    assert fed.batch(0, BATCHES[0]).tolist() == [0, 4, 1]
    with pytest.raises(ValueError, match="broken"):
        fed.batch(0, BATCHES[1])


def test_batches_are_made_by_one_other_thread_and_computed_with_one_alone() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        fed = Prefetched(told := Told())
        fed.begin(BATCHES)
        for samples in BATCHES:
            fed.batch(0, samples)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert told.threads == {1}
    assert len(told.names) == 1
    assert threading.current_thread().name not in told.names


@pytest.mark.parametrize("closed", [True, False])
def test_its_thread_ends_when_it_is_closed_or_let_go(*, closed: bool) -> None:
    before = {*threading.enumerate()}
    fed: Prefetched | None = Prefetched(Told())
    assert fed is not None
    fed.begin(BATCHES)
    fed.batch(0, BATCHES[0])
    (thread,) = {*threading.enumerate()} - before
    if closed:
        fed.close()
    else:
        fed = None
    thread.join(SOON)
    assert not thread.is_alive()
