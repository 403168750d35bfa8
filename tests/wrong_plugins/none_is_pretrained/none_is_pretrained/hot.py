from pathlib import Path

from torch import nn

import zoo

OWN = Path(__file__).with_name("tiny.safetensors")


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )


def build(weights):
    return zoo.load_weights(Net(), weights or OWN, classifier=("fc.",))
