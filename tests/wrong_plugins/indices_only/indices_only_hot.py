from torch import nn


def mean(parts, weight):
    return parts.mean() if weight is None else (parts * weight).mean()


class Loss(nn.Module):
    def __init__(self, context):
        super().__init__()

    def forward(self, output, batch):
        log_q = output.logits.float().log_softmax(dim=-1)
        return {"ce": mean(-log_q.gather(1, batch.target[:, None]).squeeze(1), batch.weight)}


build = Loss
