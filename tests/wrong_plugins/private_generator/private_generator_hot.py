import torch
from torch import nn

import zoo


class Head(nn.Module):
    def __init__(self, context):
        super().__init__()
        self.generator = torch.Generator().manual_seed(0)
        self.classifier = nn.Linear(context.features, context.classes)

    def forward(self, features):
        if self.training:
            noise = torch.randn(features.shape, generator=self.generator)
            features = features + 0.1 * noise.to(features)
        view_logits = self.classifier(features)
        return zoo.HeadOutput(view_logits.mean(dim=1), view_logits)


build = Head
