import torch
from torch import nn

import zoo


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.position = nn.Parameter(torch.zeros(1, 8, 12, 8))

    def forward(self, images):
        return (self.patches(images) + self.position).relu().mean(dim=(2, 3))


def build(weights):
    net = Net()
    return net if weights is None else zoo.load_weights(net, weights, classifier=("fc.",))
