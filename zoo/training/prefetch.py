"""The next batch is made while a step is computed, where one processor does both."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from zoo.training.threads import limited

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from torch import Tensor

    from zoo.training.feeds import Feed


@dataclass(frozen=True, slots=True)
class _Ahead:
    """A batch that is being made."""

    epoch: int
    samples: np.ndarray
    made: Future[Tensor]


class Prefetched:
    """A feed whose batches another thread makes, each while a step on the one before is computed.

    A view takes many small operations, between which threads wait for each other's hold of the
    interpreter: two that make views take as long as one does. A step holds it seldom, and leaves
    room beside it wherever its own threads wait.

    Args:
        feed: makes the batches, in the other thread alone, which computes with one thread.
    """

    def __init__(self, feed: Feed) -> None:
        """Start the thread; `close` ends it, or else the last reference to this."""
        self.feed = feed
        self._maker = ThreadPoolExecutor(1, "prefetch")
        with limited(1):  # a thread keeps the number that it finds when it first asks
            self._maker.submit(torch.get_num_threads).result()
        self._left: deque[np.ndarray] = deque()
        self._ahead: _Ahead | None = None

    def begin(self, batches: Sequence[np.ndarray]) -> None:
        """See `zoo.training.feeds.Feed`."""
        self.feed.begin(batches)
        self._left = deque(batches)

    def batch(self, epoch: int, samples: np.ndarray) -> Tensor:
        """The input for these samples `[B]`; afterwards the batch that was told to follow is made.

        Raises:
            Exception: what making this batch raised.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is None or ahead.epoch != epoch or not np.array_equal(ahead.samples, samples):
            ahead = self._make(epoch, samples)
        inputs = ahead.made.result()
        if self._left and np.array_equal(self._left[0], samples):
            self._left.popleft()
            if self._left:
                self._ahead = self._make(epoch, self._left[0])
        return inputs

    def expect(self, samples: np.ndarray) -> None:
        """Nothing is to be done: `begin` told it."""

    def close(self) -> None:
        """No batch is asked for any more: the thread ends once it has made the one at hand."""
        self._left.clear()
        self._maker.shutdown(wait=False, cancel_futures=True)

    def _make(self, epoch: int, samples: np.ndarray) -> _Ahead:
        return _Ahead(epoch, samples, self._maker.submit(self.feed.batch, epoch, samples))
