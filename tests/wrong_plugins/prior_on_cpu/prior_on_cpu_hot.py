import torch
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
        counts = torch.tensor(context.class_counts, dtype=torch.float32).clamp_min(1)
        self.log_prior = (counts / counts.sum()).log()

    def forward(self, output, batch):
        logits = output.logits.float() + self.log_prior
        return {"ce": mean(cross_entropies(logits, batch), batch.weight)}


build = Loss
