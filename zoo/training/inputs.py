"""Pixels → what a backbone sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from zoo.components import Preprocess
    from zoo.training.device import Device


def normalise(pixels: np.ndarray, preprocess: Preprocess, device: Device) -> Tensor:
    """Scale to 0..1, subtract the mean, divide by the standard deviation.

    Args:
        pixels: uint8 `[N, H, W, 3]` or `[N, V, H, W, 3]`.
        preprocess: whose mean and std to use.
        device: where the result lives; bytes travel, floats are made there.

    Returns:
        float32 `[M, 3, H, W]` with M = N or N·V (views of a sample side by side).
    """
    flat = pixels.reshape(-1, *pixels.shape[-3:])
    images = device.tensor_to(torch.from_numpy(np.ascontiguousarray(flat)))
    images = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=device.memory_format)
    scale = torch.tensor([1 / (255 * s) for s in preprocess.std], device=images.device)
    shift = torch.tensor(
        [m / s for m, s in zip(preprocess.mean, preprocess.std, strict=True)], device=images.device
    )
    return images.mul_(scale.view(3, 1, 1)).sub_(shift.view(3, 1, 1))
