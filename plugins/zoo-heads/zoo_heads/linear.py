"""`linear`: dropout and one fully connected layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

import zoo
from zoo_heads.dropout import Dropout

if TYPE_CHECKING:
    from torch import Tensor


class Linear(nn.Module):
    """The same layer for every view: `view_logits = W · dropout(h_v) + b`."""

    def __init__(self, context: zoo.HeadContext, *, dropout: float) -> None:
        """Start at zero: the first loss is ln C, and no random draw decides where training begins.

        A single layer needs no broken symmetry: the gradient of W is `(q - p) hᵀ`, not zero.
        """
        super().__init__()
        self.dropout = Dropout(dropout)
        self.classifier = nn.Linear(context.features, context.classes)
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, features: Tensor) -> zoo.HeadOutput:
        """Features `[N, V, D]` → logits `[N, C]` (the mean over views), view_logits `[N, V, C]`."""
        view_logits = self.classifier(self.dropout(features))
        return zoo.HeadOutput(view_logits.mean(dim=1), view_logits)


def build(context: zoo.HeadContext, *, dropout: float = 0.0) -> nn.Module:
    """The head for `context`; `dropout` in 0..0.9."""
    return Linear(context, dropout=dropout)
