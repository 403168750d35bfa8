from torch import nn

import zoo


class Head(nn.Module):
    def __init__(self, context):
        super().__init__()
        self.classifier = nn.Linear(context.views * context.features, context.classes)

    def forward(self, features):
        return zoo.HeadOutput(self.classifier(features.flatten(1)))


build = Head
