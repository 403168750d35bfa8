from torch import nn

import zoo


class Head(nn.Module):
    def __init__(self, context, *, bias=True, layers=0, scale=1.0, pool="mean", hidden=None):
        super().__init__()
        self.scale = scale
        self.pool = pool
        widths = [context.features, *[hidden or context.features] * layers]
        self.hidden = nn.Sequential(
            *(nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in zip(widths, widths[1:]))
        )
        self.classifier = nn.Linear(widths[-1], context.classes, bias=bias)

    def forward(self, features):
        view_logits = self.scale * self.classifier(self.hidden(features))
        if self.pool == "max":
            return zoo.HeadOutput(view_logits.amax(dim=1))
        return zoo.HeadOutput(view_logits.mean(dim=1))


def pooled(context):
    return Head(context, pool="max")
