import torch
from torch import nn

import zoo


class Block(nn.Module):
    """A residual block that is skipped for some images, in training alone."""

    def __init__(self, width, rate):
        super().__init__()
        self.rate = rate
        self.steps = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )

    def forward(self, maps):
        kept = self.steps(maps)
        if self.training and self.rate > 0:
            keep = torch.rand(len(maps), 1, 1, 1, device=maps.device) >= self.rate
            kept = kept * keep / (1 - self.rate)
        return maps + kept


class Net(nn.Sequential):
    def __init__(self, depth, drop_path):
        super().__init__(
            nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            *(Block(8, drop_path * (at + 1) / depth) for at in range(depth)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )


def build(weights, *, depth=1, drop_path=0.1):
    net = Net(depth, drop_path)
    return net if weights is None else zoo.load_weights(net, weights, classifier=("fc.",))
