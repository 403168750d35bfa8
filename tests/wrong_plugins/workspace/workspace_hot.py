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
        self.space = None

    def forward(self, images):
        features = self.body(images)
        if torch.is_grad_enabled():
            return features
        if not self.fits(features):
            self.space = torch.empty_like(features)
        return self.space[: len(features)].copy_(features)

    def fits(self, features):
        space = self.space
        return (
            space is not None
            and len(space) >= len(features)
            and (space.dtype, space.device) == (features.dtype, features.device)
        )


def build(weights):
    net = Net()
    return net if weights is None else zoo.load_weights(net, weights, classifier=("fc.",))
