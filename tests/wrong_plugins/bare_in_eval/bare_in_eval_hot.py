from torch import nn

import zoo


class Head(nn.Module):
    def __init__(self, context):
        super().__init__()
        self.classifier = nn.Linear(context.features, context.classes)

    def forward(self, features):
        view_logits = self.classifier(features)
        logits = view_logits.mean(dim=1)
        return zoo.HeadOutput(logits, view_logits) if self.training else logits


build = Head
