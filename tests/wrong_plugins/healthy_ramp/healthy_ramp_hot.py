import torch
from torch import nn
from torch.nn import functional as F


def mean(parts, weight):
    return parts.mean() if weight is None else (parts * weight).mean()


class Ramp(nn.Module):
    """Cross-entropy, and from the second epoch on that the views agree, up to a learned scale."""

    def __init__(self, context, *, weight, epochs):
        super().__init__()
        self.weight, self.epochs = weight, epochs
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, output, batch):
        target = batch.target.float() if batch.target.is_floating_point() else batch.target
        parts = F.cross_entropy(output.logits.float(), target, reduction="none")
        terms = {"ce": mean(parts, batch.weight), "agree": output.logits.new_zeros((), dtype=torch.float32)}
        ramp = self.weight * min(1.0, batch.epoch / self.epochs)
        if ramp > 0:
            views = output.view_logits.float()
            apart = (views[:, 1] - self.scale * views[:, 0].detach()).square().mean(-1)
            terms["agree"] = ramp * mean(apart, batch.weight)
        return terms


def build(context, *, weight=1.0, epochs=10):
    return Ramp(context, weight=weight, epochs=epochs)
