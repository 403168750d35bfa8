import torch
from torch import nn

import zoo


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.steps = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.ReLU())

    def forward(self, maps):
        keep = torch.rand(len(maps), 1, 1, 1, device=maps.device) >= 0.2
        return maps + self.steps(maps) * keep / 0.8


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            Block(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )


def build(weights):
    net = Net()
    return net if weights is None else zoo.load_weights(net, weights, classifier=("fc.",))
