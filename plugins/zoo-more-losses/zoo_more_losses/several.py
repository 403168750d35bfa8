"""Losses on several views of an image, `view_logits [N, V, C]`, computed in float32."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import torch
from timm.loss import JsdCrossEntropy
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everyone writes it

from zoo_more_losses.targets import class_indices, weighted_mean

if TYPE_CHECKING:
    from torch import Tensor

    import zoo


def _view_logits(output: zoo.HeadOutput) -> Tensor:
    """`[N, V, C]`, float32."""
    assert output.view_logits is not None  # noqa: S101 - a declared need, seen to by the plan
    return output.view_logits.float()


class Jsd(nn.Module):
    """timm's `JsdCrossEntropy` over as many views as a step shows."""

    def __init__(self, alpha: float, smoothing: float) -> None:
        """Build timm's loss; the number of its splits is that of each batch's views."""
        super().__init__()
        self.of_timm = JsdCrossEntropy(alpha=alpha, smoothing=smoothing)  # type: ignore[bad-argument-type] - any number will do

    def forward(self, output: zoo.HeadOutput, batch: zoo.Batch) -> dict[str, Tensor]:
        """`{"jsd": scalar}`: cross-entropy of the first view plus alpha times the divergence."""
        view_logits = _view_logits(output)
        self.of_timm.num_splits = view_logits.shape[1]
        with torch.autocast(view_logits.device.type, enabled=False):
            # Where a probability is 0, timm's gradient is no number; at e^-80 it is one.
            log_q = view_logits.log_softmax(dim=-1).clamp(min=-80)
            splits = log_q.transpose(0, 1).flatten(0, 1)  # [V * N, C], view after view
            return {"jsd": self.of_timm(splits, class_indices(batch.target))}


class RDrop(nn.Module):
    """`mean_v CE(z_v, y) + alpha/4 · (KL(q_1 ‖ q_2) + KL(q_2 ‖ q_1))`: half of R-Drop's sum.

    Of more than two views, the mean over all pairs, so that no view stands out.
    """

    def __init__(self, alpha: float) -> None:
        """Keep the factor."""
        super().__init__()
        self.alpha = alpha

    def forward(self, output: zoo.HeadOutput, batch: zoo.Batch) -> dict[str, Tensor]:
        """`ce`, of every view, and `kl` (left out at alpha = 0), of every pair; weighted means."""
        view_logits = _view_logits(output)
        samples, views, classes = view_logits.shape
        target = batch.target.float() if batch.target.is_floating_point() else batch.target
        parts = F.cross_entropy(
            view_logits.reshape(samples * views, classes),
            target.repeat_interleave(views, dim=0),
            reduction="none",
        ).reshape(samples, views)
        terms = {"ce": weighted_mean(parts.mean(dim=1), batch.weight)}
        if self.alpha > 0:
            pairs = [*combinations(view_logits.log_softmax(-1).unbind(dim=1), 2)]
            # KL(a ‖ b) + KL(b ‖ a) = Σ (a - b)(log a - log b)
            both = [((one.exp() - two.exp()) * (one - two)).sum(dim=-1) for one, two in pairs]
            mean = torch.stack(both).mean(dim=0)
            terms["kl"] = self.alpha / 4 * weighted_mean(mean, batch.weight)
        return terms


def jsd(
    context: zoo.LossContext, *, splits: int = 3, alpha: float = 12.0, smoothing: float = 0.1
) -> nn.Module:
    """AugMix's loss (arXiv 1912.02781); `splits` is how many views the plan asks for."""
    del context, splits
    return Jsd(alpha, smoothing)


def rdrop(context: zoo.LossContext, *, alpha: float = 1.0) -> nn.Module:
    """R-Drop (arXiv 2106.14448); the views differ in dropout, and in augmentation."""
    del context
    return RDrop(alpha)
