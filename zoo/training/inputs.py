"""Pixels → what a backbone sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.components import Preprocess
    from zoo.training.device import Device


def normalise(
    images: Tensor, preprocess: Preprocess, device: Device, out: Tensor | None = None
) -> Tensor:
    """Scale to 0..1, subtract the mean, divide by the standard deviation.

    Args:
        images: levels 0 to 255 `[M, 3, H, W]`: uint8, or float32, which is overwritten.
        preprocess: whose mean and std to use.
        device: where the result lives; bytes travel, floats are made there.
        out: where to put it; memory of its own if None.

    Returns:
        float32 `[M, 3, H, W]`, laid out as the device likes images.
    """
    # Plane by plane: a number for each channel then goes over rows of pixels, not over triples.
    levels = device.tensor_to(images).contiguous().float()
    scale = torch.tensor([1 / (255 * s) for s in preprocess.std]).view(3, 1, 1)
    shift = torch.tensor([m / s for m, s in zip(preprocess.mean, preprocess.std, strict=True)])
    # Made here and sent: torch would have the host wait for what it makes there from a list.
    levels.mul_(device.tensor_to(scale)).sub_(device.tensor_to(shift.view(3, 1, 1)))
    if out is not None:
        return out.copy_(levels)
    return levels.contiguous(memory_format=device.memory_format)
