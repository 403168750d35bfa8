"""A loss that goes wrong at one step, unless the environment says that it has been mended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everyone writes it

if TYPE_CHECKING:
    from collections.abc import Callable

    import zoo

#: set to anything: the loss has been mended
MENDED = "ZOO_TEST_LOSS_IS_MENDED"
FAULTS: dict[str, Callable[[Tensor], object]] = {
    "nan": lambda loss: loss * torch.nan,
    "inf": lambda loss: loss + torch.inf,
    "minus_inf": lambda loss: loss - torch.inf,
    "gradient": lambda loss: loss + (loss - loss.detach()).abs().sqrt(),  # of slope infinity
    "complex": lambda loss: loss + 0j,
    "integer": lambda loss: loss.long(),
    "shape": lambda loss: loss.repeat(3),
    "number": lambda loss: float(loss.detach()),
    "no_gradient": lambda loss: loss.detach(),
    "device": lambda loss: loss.to("meta"),
    "raises": lambda loss: loss.view(7, 9),
    "buffer": lambda loss: loss,  # which is right, while a buffer of its own is not
    "nothing": lambda _loss: None,
}


class Faulty(nn.Module):
    """Cross-entropy; counts its steps in a buffer, which checkpoints keep."""

    steps: Tensor
    peak: Tensor

    def __init__(self, _context: zoo.LossContext, *, fault: str, at: int) -> None:
        super().__init__()
        self.fault, self.at = fault, at
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.register_buffer("peak", torch.zeros(()))

    def forward(self, output: zoo.HeadOutput, batch: zoo.Batch) -> dict[str, object]:
        loss = F.cross_entropy(output.logits, batch.target)
        if loss.device.type == "meta" or not self.training:
            return {"ce": loss}
        if self.fault == "buffer":
            self.peak.fill_(torch.inf if int(self.steps) == self.at else float(loss.detach()))
        wrong = int(self.steps) == self.at and MENDED not in os.environ
        self.steps += 1
        return {"ce": FAULTS[self.fault](loss) if wrong else loss}
