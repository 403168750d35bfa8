"""Backbones that are small enough to train in a test: the hot half of the plugin `zoo-tiny`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

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
