from torch import nn

import zoo


class Head(nn.Module):
    def __init__(self, context, *, dropout=0.5):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(context.features, context.classes)

    def forward(self, features):
        view_logits = self.classifier(self.dropout(features))
        return zoo.HeadOutput(view_logits.mean(dim=1), view_logits)


build = Head
