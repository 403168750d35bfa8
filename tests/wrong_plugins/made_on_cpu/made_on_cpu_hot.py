import torch
from torch import nn

import zoo


class Head(nn.Module):
    def __init__(self, context):
        super().__init__()
        self.classifier = nn.Linear(context.features, context.classes)

    def forward(self, features):
        view_logits = self.classifier(features)  # [N, V, C]
        share = torch.arange(features.shape[1], 0, -1.0)
        share = (share / share.sum())[:, None]
        return zoo.HeadOutput((view_logits * share).sum(dim=1), view_logits)


build = Head
