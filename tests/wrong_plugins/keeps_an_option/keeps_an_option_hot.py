from torch import nn

import zoo


class Net(nn.Module):
    def __init__(self, drop_path):
        super().__init__()
        self.drop_path = drop_path
        self.patches = nn.Conv2d(3, 8, 4, stride=4)

    def forward(self, images):
        return self.patches(images).relu().mean((2, 3))


def build(weights, *, drop_path=0.0):
    module = Net(drop_path)
    return module if weights is None else zoo.load_weights(module, weights)
