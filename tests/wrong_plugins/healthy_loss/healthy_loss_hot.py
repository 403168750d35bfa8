import math

import torch
from torch import nn
from torch.nn import functional as F

import zoo


def mean(parts, weight):
    return parts.mean() if weight is None else (parts * weight).mean()


class Tempered(nn.Module):
    """Cross-entropy of `logits / T` with a learned T, and what the option `extra` adds."""

    def __init__(self, context, *, extra):
        super().__init__()
        self.extra = extra
        self.log_temperature = nn.Parameter(torch.zeros(()))
        counts = torch.tensor(context.class_counts, dtype=torch.float32)
        self.register_buffer("prior", counts / counts.sum(), persistent=False)  # the plan holds it

    def forward(self, output, batch):
        target = batch.target.float() if batch.target.is_floating_point() else batch.target
        logits = output.logits.float() * (-self.log_temperature).exp()
        terms = {"ce": mean(F.cross_entropy(logits, target, reduction="none"), batch.weight)}
        if self.extra == "teacher":
            teacher = batch.extras["teacher_logits"].float().softmax(-1)
            parts = F.kl_div(logits.log_softmax(-1), teacher, reduction="none").sum(-1)
            terms["teacher"] = mean(parts, batch.weight)
        elif self.extra == "pair":
            views = output.view_logits.float()
            parts = F.kl_div(
                views[:, 1].log_softmax(-1), views[:, 0].detach().softmax(-1), reduction="none"
            ).sum(-1)
            terms["pair"] = mean(parts, batch.weight)
        elif self.extra == "prior":
            log_mean = logits.log_softmax(-1).logsumexp(0) - math.log(len(logits))
            terms["prior"] = F.kl_div(log_mean, self.prior, reduction="none").sum(-1)
        return terms


def build(context, *, extra="none"):
    return Tempered(context, extra=extra)
