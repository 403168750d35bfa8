"""Backbones that are small enough to train in a test: the hot half of the plugin `zoo-tiny`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import zoo

if TYPE_CHECKING:
    from pathlib import Path


class Net(nn.Module):
    """One convolution, batch norm and dropout: what a freeze can go wrong on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 5, stride=4)
        self.norm = nn.BatchNorm2d(width)
        self.drop = nn.Dropout(0.2)

    def forward(self, images: Tensor) -> Tensor:
        return self.drop(torch.relu(self.norm(self.conv(images)))).mean((2, 3))


def net(weights: Path | None, *, width: int = 8, img_size: int | None = None) -> nn.Module:
    del img_size  # what it is told is looked at in the plan
    built = Net(width)
    return built if weights is None else zoo.load_weights(built, weights, classifier=("fc.",))


def other_net(
    weights: Path | None, *, width: int = 3, img_size: int | None = None, unknown: int = 1
) -> nn.Module:
    """The same under another name, with one more option."""
    del unknown
    return net(weights, width=width, img_size=img_size)


class Mixed(nn.Module):
    """What there are quick kernels for: a depthwise convolution, and attention, checkpointed."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 5, stride=4)
        self.deep = nn.Conv2d(width, width, 5, stride=2, padding=2, groups=width)
        self.norm = nn.BatchNorm2d(width)
        self.qkv = nn.Linear(width, 3 * width)

    def forward(self, images: Tensor) -> Tensor:
        tokens = torch.relu(self.norm(self.deep(self.conv(images)))).flatten(2).mT
        mixed: Tensor = checkpoint(self._attended, tokens, use_reentrant=False)
        return mixed.mean(1)

    def _attended(self, tokens: Tensor) -> Tensor:
        query, key, value = self.qkv(tokens).chunk(3, -1)
        return functional.scaled_dot_product_attention(query, key, value)


def mixed_net(weights: Path | None, *, width: int = 8, img_size: int | None = None) -> nn.Module:
    del weights, img_size
    return Mixed(width)
