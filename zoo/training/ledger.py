"""What steps came to, read from the device now and then and not after each.

A device works through a queue; asking it for a number waits until the queue is empty. So each
step's loss terms stay where they are until somebody looks, and whether they are finite is decided
on the device: from the first step that is not, the optimiser leaves every weight alone, where its
kernels can (see `optimise.OBEYING`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from torch.optim import Optimizer

#: on a device with a queue, seconds from one time at which looking is due to the next
_BETWEEN_LOOKS = 0.25


@dataclass(frozen=True, slots=True)
class Entry:
    """One step's numbers.

    Args:
        samples: of its batch.
        terms: of its loss, by name.
        norm: of its gradient, before clipping.
    """

    samples: np.ndarray
    terms: dict[str, float]
    norm: float


class Ledger:
    """The steps since the last look.

    Args:
        device: where the numbers are; on a CPU, which has no queue, every step is looked at.
    """

    def __init__(self, device: torch.device) -> None:
        """Nothing has been noted."""
        self._wait = 0.0 if device.type == "cpu" else _BETWEEN_LOOKS
        self._asked = time.monotonic()
        self._steps: list[tuple[np.ndarray, tuple[str, ...], Tensor]] = []
        self._found_inf = torch.zeros((), device=device)

    def note(
        self,
        optimizer: Optimizer,
        samples: np.ndarray,
        terms: Mapping[str, Tensor],
        norm: Tensor,
    ) -> None:
        """Note a step whose gradients are there, before the optimiser uses them.

        The optimiser's update becomes none from the first step on that is not finite (torch's own
        switch for that, made for loss scaling; its fused kernels obey it without waiting, but for
        those of MPS).
        """
        numbers = torch.stack([*terms.values(), norm]).detach()
        self._steps.append((samples, tuple(terms), numbers))
        self._found_inf = torch.maximum(self._found_inf, (~torch.isfinite(numbers.sum())).float())
        optimizer.found_inf = self._found_inf  # type: ignore[attr-defined]  # as GradScaler does

    def due(self) -> bool:
        """Whether it is time to look: now and then, however often somebody looked meanwhile.

        Epochs that are shorter than the wait are looked at when they end, and due all the same.
        """
        now = time.monotonic()
        if now - self._asked < self._wait:
            return False
        self._asked = now
        return True

    def look(self) -> list[Entry]:
        """The steps since the last look; waits for the device."""
        if not self._steps:
            return []
        rows = torch.stack([numbers for *_, numbers in self._steps]).tolist()
        found = [
            Entry(samples, dict(zip(names, row, strict=False)), row[-1])
            for (samples, names, _), row in zip(self._steps, rows, strict=True)
        ]
        self._steps.clear()
        return found
