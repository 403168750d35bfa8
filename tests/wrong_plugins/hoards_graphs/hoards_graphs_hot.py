from torch import nn
from torch.nn import functional as F


class Loss(nn.Module):
    def __init__(self, context):
        super().__init__()
        self.recent = []

    def forward(self, output, batch):
        target = batch.target.float() if batch.target.is_floating_point() else batch.target
        parts = F.cross_entropy(output.logits.float(), target, reduction="none")
        total = (parts if batch.weight is None else parts * batch.weight).mean()
        self.recent = [*self.recent[-99:], total]
        return {"ce": total}


build = Loss
