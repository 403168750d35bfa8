import torch
from torch import nn

import zoo

WEIGHT = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)  # of red, green and blue in luma


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

    def forward(self, images):
        luma = (images * WEIGHT).sum(dim=1, keepdim=True)
        return self.body(images - luma)


def build(weights):
    net = Net()
    return net if weights is None else zoo.load_weights(net, weights, classifier=("fc.",))
