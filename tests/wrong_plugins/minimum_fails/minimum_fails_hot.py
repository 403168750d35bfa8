from torch import nn

import zoo


class Head(nn.Module):
    def __init__(self, context, *, layers=1):
        super().__init__()
        hidden = [nn.Linear(context.features, context.features) for _ in range(layers)]
        self.classifier = nn.Linear(hidden[-1].out_features, context.classes)
        self.hidden = nn.Sequential(*hidden)

    def forward(self, features):
        view_logits = self.classifier(self.hidden(features).relu())
        return zoo.HeadOutput(view_logits.mean(dim=1), view_logits)


build = Head
