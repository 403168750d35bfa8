"""The smallest backbone, head and loss that keep the contract: for tests of plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everyone writes it

import zoo

if TYPE_CHECKING:
    from pathlib import Path


class Net(nn.Module):
    """One convolution over patches, averaged."""

    def __init__(self, width: int) -> None:
        """Features of `width` numbers."""
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, stride=4)

    def forward(self, images: Tensor) -> Tensor:
        """Images `[N, 3, H, W]` → features `[N, D]`; H and W of at least 4 pixels."""
        return self.patches(images).relu().mean((2, 3))


class Classifier(nn.Module):
    """One fully connected layer for every view, and the features themselves as embeddings."""

    def __init__(self, context: zoo.HeadContext) -> None:
        """From D features to C classes."""
        super().__init__()
        self.classifier = nn.Linear(context.features, context.classes)

    def forward(self, features: Tensor) -> zoo.HeadOutput:
        """Features `[N, V, D]`, the embeddings → logits `[N, C]`, of views `[N, V, C]`."""
        view_logits = self.classifier(features)
        return zoo.HeadOutput(view_logits.mean(1), view_logits, features)


class CrossEntropy(nn.Module):
    """Cross-entropy of `logits`, each sample's part times its weight."""

    def forward(self, output: zoo.HeadOutput, batch: zoo.Batch) -> dict[str, Tensor]:
        """`{"ce": scalar}`, the mean over the batch."""
        parts = F.cross_entropy(output.logits.float(), batch.target, reduction="none")
        return {"ce": (parts if batch.weight is None else parts * batch.weight).mean()}


def net(weights: Path | None, *, width: int = 8) -> nn.Module:
    """The backbone; `width` is D.

    Raises:
        zoo.ZooError: the weights file is missing or does not fit.
    """
    module = Net(width)
    return module if weights is None else zoo.load_weights(module, weights)


def classifier(context: zoo.HeadContext) -> nn.Module:
    """The head for `context`."""
    return Classifier(context)


def cross_entropy(context: zoo.LossContext) -> nn.Module:
    """The loss for `context`."""
    del context  # cross-entropy needs to know nothing of the run
    return CrossEntropy()
