"""What each mutant of the backbone does otherwise than the one that it is made of."""

from __future__ import annotations

import torch
from torch import nn

import zoo
from zoo.testing.hot import tiny


def net(weights=None):
    return tiny.net(weights)


def backbone_control(weights):
    return net(weights)


backbone_facts__params = backbone_facts__layout = backbone_ports__width = backbone_control
backbone_published__other_hash = backbone_control


class Shaped(nn.Module):
    """The backbone with another pooling."""

    def __init__(self, how, weights):
        super().__init__()
        self.how = how
        self.inner = net()
        if weights is not None:
            zoo.load_weights(self, weights)

    def forward(self, images):
        features = self.inner.patches(images).relu()
        if self.how == "map":
            return features
        if self.how == "grows":
            return features.mean(1).flatten(1)
        n, width = features.shape[:2]
        return features.view(n, -1).view(n, width, -1).mean(-1)


def backbone_ports__map(weights):
    return Shaped("map", weights)


def backbone_image_size__grows(weights):
    return Shaped("grows", weights)


def backbone_memory_format__view(weights):
    return Shaped("view", weights)


def backbone_unspoilt__constant(weights):
    module = net(weights)
    if weights is None:
        with torch.no_grad():
            for one in module.parameters():
                one.fill_(0.01)
    return module


def backbone_option_effect__kept(weights, *, width=8):
    module = net(weights)
    module.width = width
    return module


def backbone_weights_file__ignored(weights):
    return net()


def backbone_weights_errors__not_strict(weights):
    from safetensors.torch import load_file

    module = net()
    if weights is not None:
        module.load_state_dict(load_file(weights), strict=False)
        module.load_report = "loaded"
    return module
