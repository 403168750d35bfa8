from torch import nn
from torch.nn import functional as F


def cross_entropies(logits, batch):
    target = batch.target.float() if batch.target.is_floating_point() else batch.target
    return F.cross_entropy(logits.float(), target, reduction="none")


class Loss(nn.Module):
    def __init__(self, context):
        super().__init__()

    def forward(self, output, batch):
        parts = cross_entropies(output.logits, batch)
        return {"ce": (parts if batch.weight is None else parts * batch.weight).sum()}


build = Loss
