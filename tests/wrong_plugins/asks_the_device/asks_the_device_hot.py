from torch import nn
from torch.nn import functional as F


def cross_entropies(logits, batch):
    target = batch.target.float() if batch.target.is_floating_point() else batch.target
    return F.cross_entropy(logits.float(), target, reduction="none")


def mean(parts, weight):
    return parts.mean() if weight is None else (parts * weight).mean()


class Loss(nn.Module):
    def __init__(self, context):
        super().__init__()
        self.classes = context.classes

    def forward(self, output, batch):
        assert batch.target.max() < self.classes
        return {"ce": mean(cross_entropies(output.logits, batch), batch.weight)}


build = Loss
