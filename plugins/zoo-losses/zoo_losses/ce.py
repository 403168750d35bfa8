"""`ce`: cross-entropy, and the two pieces of it that `cekl` shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everyone writes it

if TYPE_CHECKING:
    from torch import Tensor

    import zoo


def weighted_mean(parts: Tensor, weight: Tensor | None) -> Tensor:
    """`1/N Σ w_i parts_i` of parts `[N]`; the weights `[N]` have mean 1 over an epoch, not a batch.

    Dividing by N instead of by the batch's own weights keeps a batch of rare classes as heavy as
    it is meant to be.
    """
    return parts.mean() if weight is None else (parts * weight).mean()


def cross_entropy(logits: Tensor, batch: zoo.Batch, *, label_smoothing: float = 0.0) -> Tensor:
    """The mean over the batch of `-Σ_c p_c log softmax(logits)_c`, in float32.

    Args:
        logits: `[N, C]`.
        batch: whose target is indices `[N]` (p is one-hot) or distributions p `[N, C]`.
        label_smoothing: e; p becomes `(1-e) p + e/C`.
    """
    target = batch.target.float() if batch.target.is_floating_point() else batch.target
    parts = F.cross_entropy(
        logits.float(), target, reduction="none", label_smoothing=label_smoothing
    )
    return weighted_mean(parts, batch.weight)


class CrossEntropy(nn.Module):
    """Cross-entropy of `logits`; its floor under smoothing is the entropy of the smoothed label."""

    def __init__(self, *, label_smoothing: float) -> None:
        """Keep the option."""
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, output: zoo.HeadOutput, batch: zoo.Batch) -> dict[str, Tensor]:
        """`{"ce": scalar}`."""
        return {"ce": cross_entropy(output.logits, batch, label_smoothing=self.label_smoothing)}


def build(context: zoo.LossContext, *, label_smoothing: float = 0.0) -> nn.Module:
    """The loss; `label_smoothing` in 0..<1."""
    del context  # cross-entropy needs to know nothing of the run
    return CrossEntropy(label_smoothing=label_smoothing)
