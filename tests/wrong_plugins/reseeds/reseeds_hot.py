import torch
from torch import nn

import zoo


class Head(nn.Module):
    def __init__(self, context):
        super().__init__()
        self.shape = (context.features, 4 * context.features)
        self.classifier = nn.Linear(self.shape[1], context.classes)

    def forward(self, features):
        torch.manual_seed(0)
        directions = torch.randn(self.shape, device=features.device)
        view_logits = self.classifier((features @ directions.to(features.dtype)).cos())
        return zoo.HeadOutput(view_logits.mean(dim=1), view_logits)


build = Head
