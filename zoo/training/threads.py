"""How many threads compute: one, where handing work out costs more than the work."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

#: below this many parameters a step on features is done before a second thread has woken up
_SMALL = 200_000
#: no machine's number of cores is above this
_MANY = 4096


def as_begun(device: Mapping[str, Any]) -> str:
    """Compute with as many threads as a run began with: another number may give other bits.

    Args:
        device: as plan.json has it.

    Returns:
        What to say of it; empty where nothing changes.
    """
    if not isinstance(device, Mapping) or device.get("name") != "cpu":
        return ""
    wanted, have = device.get("threads"), torch.get_num_threads()
    if not isinstance(wanted, int) or not 0 < wanted <= _MANY or wanted == have:
        return ""
    torch.set_num_threads(wanted)
    return f"threads: {wanted}, as the run began, and not {have}: the bits could differ"


@contextmanager
def suited(head: nn.Module) -> Iterator[None]:
    """Within the block, as many threads as this head on features deserves.

    A head gets the same number wherever it computes, so that it gives the same bits in training,
    validation and prediction.
    """
    before = torch.get_num_threads()
    if sum(parameter.numel() for parameter in head.parameters()) < _SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
