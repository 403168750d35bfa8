"""timm's training step over one batch that lies on the device: `benchmark.py --bench train`.

timm's wheel has no benchmark.py, so this is its step at the flags that are best for it: `--amp
--amp-dtype bfloat16 --channels-last`, a fused AdamW, and `--torchcompile` where that is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import timm
import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from zoo.training.device import Device

#: what timm calls what has another name here
NAMES = {"lite0": "efficientnet_lite0"}


def network(architecture: str, classes: int) -> nn.Module | None:
    """The network of a name, with random weights; None where timm has none."""
    name = NAMES.get(architecture, architecture)
    if not timm.is_model(name):
        return None
    found: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes)
    return found


class Steps:
    """Steps of one network over one batch, again and again."""

    def __init__(
        self, model: nn.Module, images: Tensor, classes: int, device: Device, *, compiled: bool
    ) -> None:
        """Take a network to the device, and a batch that is there.

        Args:
            model: images `[N, 3, H, W]` → logits `[N, C]`.
            images: of a step, laid out as `device` likes them.
            classes: C.
            device: its precision is that of autocast.
            compiled: whether the network is compiled when the first step is taken.
        """
        model = model.to(device.torch).to(memory_format=device.memory_format).train()
        self._images, self._device = images, device
        self._target = torch.arange(len(images), device=device.torch) % classes
        self._loss = nn.CrossEntropyLoss()
        self._optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
        self._model: Callable[[Tensor], Tensor] = torch.compile(model) if compiled else model

    def take(self, count: int) -> int:
        """Take so many steps, and wait for the device; returns how many images that were."""
        for _ in range(count):
            self._optimizer.zero_grad()
            with self._device.autocast():
                loss = self._loss(self._model(self._images), self._target)
            loss.backward()
            self._optimizer.step()
        self._device.wait()
        return count * len(self._images)
