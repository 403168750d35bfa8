import torch
from torch import nn

import zoo


class build(nn.Linear):
    def __init__(self, context):
        super().__init__(context.features, context.classes)

    def forward(self, features):
        return zoo.HeadOutput(logits=torch.zeros(len(features), self.out_features))
