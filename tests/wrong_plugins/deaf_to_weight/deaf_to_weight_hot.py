from torch import nn
from torch.nn import functional as F


class Loss(nn.Module):
    def __init__(self, context):
        super().__init__()

    def forward(self, output, batch):
        target = batch.target.float() if batch.target.is_floating_point() else batch.target
        return {"ce": F.cross_entropy(output.logits.float(), target)}


build = Loss
