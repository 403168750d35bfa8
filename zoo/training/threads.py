"""How many threads compute: one, where handing work out costs more than the work."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

#: below this many parameters a step on features is done before a second thread has woken up
_SMALL = 200_000
#: no machine's number of cores is above this
_MANY = 4096


@contextmanager
def as_begun(device: Mapping[str, Any]) -> Iterator[str]:
    """Within the block, as many threads as a run began with: another number may give other bits.

    Args:
        device: as plan.json has it.

    Yields:
        What to say of it; empty where nothing changes.
    """
    told = device if isinstance(device, Mapping) else {}  # it may come from a stranger
    wanted, have = told.get("threads"), torch.get_num_threads()
    sane = isinstance(wanted, int) and 0 < wanted <= _MANY
    if told.get("name") != "cpu" or not sane or wanted == have:
        yield ""
        return
    with limited(wanted):
        yield f"threads: {wanted}, as the run began, and not {have}: the bits could differ"


@contextmanager
def suited(head: nn.Module) -> Iterator[None]:
    """Within the block, as many threads as this head on features deserves.

    A head gets the same number wherever it computes on features, so that it gives the same bits in
    a probe, in validation and in prediction.
    """
    small = sum(parameter.numel() for parameter in head.parameters()) < _SMALL
    with limited(1 if small else torch.get_num_threads()):
        yield


def spread(work: Callable[[int], None], count: int, threads: int) -> None:
    """Call `work` with 0 to `count` - 1, several at the same time where there are several threads.

    Each call computes with one thread, and so gives the same bits however many there are: a sum's
    depend on how many threads share it.

    Args:
        work: writes its result where no other call does; torch lets go of the interpreter.
        count: how often.
        threads: how many calls at the same time.
    """
    with limited(1):
        if threads == 1:
            for place in range(count):
                work(place)
            return
        with ThreadPoolExecutor(threads) as pool:
            deque(pool.map(work, range(count)), maxlen=0)


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Within the block, this thread computes with so many, and so does who is new to computing."""
    before = torch.get_num_threads()
    if before == threads:
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
