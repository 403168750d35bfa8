import math

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

    def forward(self, output, batch):
        log_q = output.logits.float().log_softmax(dim=-1)
        log_mean = log_q.logsumexp(dim=0) - math.log(len(log_q))
        return {
            "ce": mean(cross_entropies(output.logits, batch), batch.weight),
            "balance": -log_mean.mean(),
        }


build = Loss
