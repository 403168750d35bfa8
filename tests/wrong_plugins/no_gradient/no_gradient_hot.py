import torch
from torch import nn

import zoo


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )

    @torch.no_grad()
    def forward(self, images):
        return self.body(images)


def build(weights):
    net = Net()
    return net if weights is None else zoo.load_weights(net, weights, classifier=("fc.",))
