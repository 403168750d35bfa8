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
        terms = {"ce": mean(cross_entropies(output.logits, batch), batch.weight)}
        teacher = batch.extras.get("teacher_logits")
        if teacher is not None:
            log_q = output.logits.float().log_softmax(dim=-1)
            parts = F.kl_div(log_q, teacher.float().softmax(dim=-1), reduction="none").sum(dim=-1)
            terms["teacher"] = mean(parts, batch.weight)
        return terms


build = Loss
