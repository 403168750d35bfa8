import torch
from torch import nn


class Loss(nn.Module):
    def __init__(self, context):
        super().__init__()
        self.classes = context.classes

    def forward(self, output, batch):
        target = batch.target
        if not target.is_floating_point():
            target = torch.zeros_like(output.logits).scatter_(1, target[:, None], 1.0)
        target.mul_(0.9).add_(0.1 / self.classes)
        parts = -(target * output.logits.float().log_softmax(dim=-1)).sum(dim=-1)
        return {"ce": (parts if batch.weight is None else parts * batch.weight).mean()}


build = Loss
