from torch import nn

import zoo


class Head(nn.Module):
    def __init__(self, context, dropout, hidden):
        super().__init__()
        self.steps = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(context.features, hidden),
            nn.ReLU(),
            nn.Linear(hidden, context.classes),
        )

    def forward(self, features):
        view_logits = self.steps(features)
        return zoo.HeadOutput(view_logits.mean(dim=1), view_logits)


def build(context, *, dropout=0.0, hidden=32):
    return Head(context, dropout, hidden)
