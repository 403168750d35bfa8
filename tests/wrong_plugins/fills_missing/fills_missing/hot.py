from torch import nn

import zoo


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
    net = Net()
    if weights is None:
        return net
    own = net.state_dict()
    return zoo.load_weights(
        net, weights, rename=lambda state: {**own, **state}, classifier=("fc.",)
    )
