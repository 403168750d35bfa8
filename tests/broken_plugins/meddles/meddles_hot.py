import os
import random
import signal
import warnings

import numpy as np
import torch
from torch.nn import functional


def meddle():
    os.chdir("/")
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    warnings.simplefilter("ignore")


meddle()


class build(torch.nn.Module):
    def __init__(self, context):
        super().__init__()
        meddle()

    def forward(self, output, batch):
        return {"ce": functional.cross_entropy(output.logits, batch.target)}
