from torch import nn


class build(nn.Module):
    def __init__(self, context):
        super().__init__()

    def forward(self, output, batch):
        return {"nan": (output.logits.sum() * float("nan"))}
