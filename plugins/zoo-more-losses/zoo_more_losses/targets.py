"""A batch's target in the form that a library's loss takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def class_indices(target: Tensor) -> Tensor:
    """Class indices `[N]` of a target; the likeliest class of a distribution `[N, C]`."""
    return target.argmax(dim=-1) if target.is_floating_point() else target


def distributions(target: Tensor, classes: int) -> Tensor:
    """A target as distributions `[N, C]`, float32: one-hot rows where it is indices `[N]`."""
    if target.is_floating_point():
        return target.float()
    # `one_hot` would, on some devices, make the host wait to check the labels.
    return (target[:, None] == torch.arange(classes, device=target.device)).float()


def smoothed(target: Tensor, classes: int, smoothing: float) -> Tensor:
    """`(1-e) label + e/C`, `[N, C]` float32."""
    return (1 - smoothing) * distributions(target, classes) + smoothing / classes


def weighted_mean(parts: Tensor, weight: Tensor | None) -> Tensor:
    """`1/N Σ w_i parts_i` of parts `[N]`; the weights have mean 1 over an epoch, not a batch."""
    return parts.mean() if weight is None else (parts * weight).mean()
