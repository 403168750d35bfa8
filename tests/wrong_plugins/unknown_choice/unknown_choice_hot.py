from torch import nn

import zoo


ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}


class Head(nn.Module):
    def __init__(self, context, *, activation="relu"):
        super().__init__()
        self.activation = ACTIVATIONS[activation]()
        self.hidden = nn.Linear(context.features, context.features)
        self.classifier = nn.Linear(context.features, context.classes)

    def forward(self, features):
        view_logits = self.classifier(self.activation(self.hidden(features)))
        return zoo.HeadOutput(view_logits.mean(dim=1), view_logits)


build = Head
