"""Losses on one output, `logits [N, C]`; each is computed in float32 and gives one term.

Where a library's loss takes indices only (`asymmetric`), a distribution as target counts as its
likeliest class; all others take distributions as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from timm import loss as timm_losses
from torch import nn
from torchvision.ops import sigmoid_focal_loss

from zoo_more_losses.targets import class_indices, distributions, smoothed, weighted_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    import zoo


class PerSample(nn.Module):
    """The mean over the batch, by `batch.weight`, of a loss that gives a value for each sample."""

    def __init__(self, term: str, parts: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Keep the term's name and the function: logits `[N, C]`, target → parts `[N]`."""
        super().__init__()
        self.term, self.parts = term, parts

    def forward(self, output: zoo.HeadOutput, batch: zoo.Batch) -> dict[str, Tensor]:
        """`{TERM: scalar}`."""
        logits = output.logits.float()
        with torch.autocast(logits.device.type, enabled=False):
            parts = self.parts(logits, batch.target)
            return {self.term: weighted_mean(parts, batch.weight)}


class _Focal(nn.Module):
    def __init__(self, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        log_q = logits.log_softmax(dim=-1)
        rest = -torch.expm1(log_q)  # 1 - q, without cancellation where q is nearly 1
        p = distributions(target, logits.shape[-1])
        # The gradient of a power of 0 is infinite for gamma < 1.
        return -(p * rest.clamp(min=torch.finfo(rest.dtype).tiny) ** self.gamma * log_q).sum(dim=-1)


class _SigmoidFocal(nn.Module):
    def __init__(self, alpha: float, gamma: float) -> None:
        super().__init__()
        self.alpha, self.gamma = alpha, gamma

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        p = distributions(target, logits.shape[-1])
        return sigmoid_focal_loss(logits, p, alpha=self.alpha, gamma=self.gamma).sum(dim=-1)


class _Asymmetric(nn.Module):
    def __init__(self, gamma_pos: float, gamma_neg: float, eps: float) -> None:
        super().__init__()
        self.of_timm = timm_losses.AsymmetricLossSingleLabel(
            gamma_pos=gamma_pos,  # type: ignore[bad-argument-type] - any number will do
            gamma_neg=gamma_neg,  # type: ignore[bad-argument-type]
            eps=eps,
            reduction="none",
        )

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        parts: Tensor = self.of_timm(logits, class_indices(target))
        self.of_timm.targets_classes = []  # it keeps the batch's, for nothing
        return parts


class _Bce(nn.Module):
    def __init__(self, smoothing: float, threshold: float | None, *, summed: bool) -> None:
        super().__init__()
        self.of_timm = timm_losses.BinaryCrossEntropy(
            smoothing=0, target_threshold=threshold, reduction="none"
        )
        self.smoothing, self.summed = smoothing, summed

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        # As timm spreads a label, which does so for indices only.
        soft = smoothed(target, logits.shape[-1], self.smoothing)
        parts: Tensor = self.of_timm(logits, soft)
        return parts.sum(dim=-1) if self.summed else parts.mean(dim=-1)


class _Poly1(nn.Module):
    def __init__(self, epsilon: float, smoothing: float) -> None:
        super().__init__()
        self.of_timm = timm_losses.PolyCrossEntropy(epsilon=epsilon, reduction="none")
        self.smoothing = smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        parts: Tensor = self.of_timm(logits, smoothed(target, logits.shape[-1], self.smoothing))
        return parts


class LabelSmoothing(nn.Module):
    """timm's cross-entropy with smoothed labels: `(1-e) CE(label) + e CE(uniform)`."""

    def __init__(self, smoothing: float) -> None:
        """Keep the share that is spread."""
        super().__init__()
        self.smoothing = smoothing
        self.of_indices = timm_losses.LabelSmoothingCrossEntropy(smoothing)
        self.of_distributions = timm_losses.SoftTargetCrossEntropy()

    def forward(self, output: zoo.HeadOutput, batch: zoo.Batch) -> dict[str, Tensor]:
        """`{"ce": scalar}`, the mean over the batch."""
        logits, target = output.logits.float(), batch.target
        with torch.autocast(logits.device.type, enabled=False):
            if not target.is_floating_point():
                return {"ce": self.of_indices(logits, target)}
            soft = smoothed(target, logits.shape[-1], self.smoothing)
            return {"ce": self.of_distributions(logits, soft)}


def focal(context: zoo.LossContext, *, gamma: float = 2.0) -> nn.Module:
    """`-Σ_c p_c (1 - q_c)^gamma log q_c`, q = softmax(logits) (after arXiv 1708.02002)."""
    del context
    return PerSample("focal", _Focal(gamma))


def sigmoid_focal(
    context: zoo.LossContext, *, alpha: float = 0.25, gamma: float = 2.0
) -> nn.Module:
    """Torchvision's `sigmoid_focal_loss` against one-hot rows, summed over the classes."""
    del context
    return PerSample("focal", _SigmoidFocal(alpha, gamma))


def asymmetric(
    context: zoo.LossContext, *, gamma_pos: float = 1.0, gamma_neg: float = 4.0, eps: float = 0.1
) -> nn.Module:
    """Timm's `AsymmetricLossSingleLabel` (arXiv 2009.14119); `eps` smooths the label."""
    del context
    return PerSample("asymmetric", _Asymmetric(gamma_pos, gamma_neg, eps))


def bce(
    context: zoo.LossContext,
    *,
    smoothing: float = 0.1,
    target_threshold: float | None = None,
    sum_classes: bool = False,
) -> nn.Module:
    """Timm's `BinaryCrossEntropy`; distributions are smoothed as indices are."""
    del context
    return PerSample("bce", _Bce(smoothing, target_threshold, summed=sum_classes))


def label_smoothing(context: zoo.LossContext, *, smoothing: float = 0.1) -> nn.Module:
    """Timm's `LabelSmoothingCrossEntropy`; of distributions, `SoftTargetCrossEntropy`."""
    del context
    return LabelSmoothing(smoothing)


def poly1(context: zoo.LossContext, *, epsilon: float = 2.0, smoothing: float = 0.0) -> nn.Module:
    """Timm's `PolyCrossEntropy` (arXiv 2204.12511): `CE + ε (1 - q_label)`."""
    del context
    return PerSample("poly1", _Poly1(epsilon, smoothing))
