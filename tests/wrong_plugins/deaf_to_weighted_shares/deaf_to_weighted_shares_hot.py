from torch import nn
from torch.nn import functional as F


class Loss(nn.Module):
    def __init__(self, context):
        super().__init__()

    def forward(self, output, batch):
        log_p = output.logits.float().log_softmax(-1)
        if batch.target.is_floating_point():
            return {"ce": -(batch.target * log_p).sum(-1).mean()}
        parts = F.nll_loss(log_p, batch.target, reduction="none")
        return {"ce": (parts if batch.weight is None else parts * batch.weight).mean()}


build = Loss
