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
        self.warm = max(1, context.steps // 2)
        self.step = 0

    def forward(self, output, batch):
        if self.training:
            self.step += 1
        share = min(1.0, self.step / self.warm)
        size = mean(output.logits.float().square().mean(dim=-1), batch.weight)
        return {
            "ce": mean(cross_entropies(output.logits, batch), batch.weight),
            "size": 0.01 * share * size,
        }


build = Loss
