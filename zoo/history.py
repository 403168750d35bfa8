"""What an epoch leaves behind, and how sure an accuracy is: plain numbers with units."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

#: of the standard normal distribution, for a 95 % interval
_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One line of metrics.jsonl.

    Args:
        phase: `probe` or `full`.
        epoch: from 1 within the phase.
        step: optimiser steps of the phase so far.
        loss: mean training loss of the epoch, the sum of its terms.
        terms: mean of each loss term by name.
        top1: validation accuracy, 0..1; None without a validation part.
        macro_f1: validation macro F1, 0..1; likewise.
        lr: learning rate of the last step (of the head's group); 0 of a probe that was solved for,
            which has no rate: its only epoch is the solution, its steps are the solver's.
        images_per_second: training samples per second of the epoch.
        seconds: duration of the epoch, validation included.
    """

    phase: str
    epoch: int
    step: int
    loss: float
    terms: Mapping[str, float]
    top1: float | None
    macro_f1: float | None
    lr: float
    images_per_second: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)


def wilson(rate: float, count: int) -> tuple[float, float]:
    """The 95 % score interval of a rate of successes (Wilson 1927), both ends in 0..1."""
    if count == 0:
        return 0.0, 1.0
    spread = _Z95**2 / count
    centre = (rate + spread / 2) / (1 + spread)
    half = _Z95 * math.sqrt(rate * (1 - rate) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)
