"""Pixels → what a backbone sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from zoo.components import Preprocess
    from zoo.training.device import Device


def affine(preprocess: Preprocess) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and shift of each colour `[3]`: a level becomes level · scale - shift."""
    std = np.array(preprocess.std)
    return 1 / (255 * std), np.array(preprocess.mean) / std


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
    # Made here and sent: torch would have the host wait for what it makes there from a list.
    scale, shift = (
        device.tensor_to(torch.from_numpy(of.astype(np.float32)).view(3, 1, 1))
        for of in affine(preprocess)
    )
    levels.mul_(scale).sub_(shift)
    if out is not None:
        return out.copy_(levels)
    return levels.contiguous(memory_format=device.memory_format)
