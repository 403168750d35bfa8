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
        self.average = None

    def forward(self, output, batch):
        q = output.logits.float().softmax(dim=-1)
        if self.training:
            now = q.detach().mean(dim=0)
            self.average = now if self.average is None else self.average.lerp(now, 0.1)
        terms = {"ce": mean(cross_entropies(output.logits, batch), batch.weight)}
        if self.average is not None:
            terms["balance"] = (q.mean(dim=0) * self.average.clamp_min(1e-6).log()).sum()
        return terms


build = Loss
