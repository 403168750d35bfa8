"""What two computations of one thing may differ by, and complaints where they differ by more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from zoo.testing.outcomes import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

#: as a share of the greatest number
CLOSE = 2e-4


def scale_of(tensor: Tensor) -> float:
    """The size of the numbers, for tolerances."""
    return max(1e-6, float(tensor.detach().abs().max())) if tensor.numel() else 1.0


def near(one: Tensor, other: Tensor, tolerance: float) -> bool:
    """Whether two tensors agree within a share of their greatest number."""
    return one.shape == other.shape and bool(
        (one.detach().float() - other.detach().float()).abs().max() <= tolerance * scale_of(other)
        if one.numel()
        else True
    )


def check_equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor], what: str) -> None:
    """Compare two calls.

    Raises:
        Fault: they differ.
    """
    if one.keys() != other.keys():
        raise Fault(f"{what}: {sorted(one)} and {sorted(other)}")
    for name, value in one.items():
        if not torch.equal(value, other[name]):
            raise Fault(f"{what}: {name} differs")


def check_finite(found: Mapping[str, Tensor | None], what: str) -> None:
    """Ordinary numbers in, so ordinary numbers out.

    Raises:
        Fault: one is not finite.
    """
    for name, value in found.items():
        if value is not None and not bool(value.isfinite().all()):
            raise Fault(f"{what}: {name} is not finite")
