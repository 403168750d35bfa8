from torch import nn

import zoo


class Head(nn.Module):
    def __init__(self, context):
        super().__init__()
        self.projection = nn.Linear(context.features, 16)
        self.classifier = nn.Linear(16, context.classes)

    def forward(self, features):
        view_logits = self.classifier(self.projection(features).relu().data)
        return zoo.HeadOutput(view_logits.mean(dim=1), view_logits)


build = Head
