"""`cekl`: `L = CE(z1, y) + kl_weight · KL(p ‖ q)`.

The first output z1 is `view_logits[:, 0]`; the second is q = softmax(`logits`). For a one-hot p the
divergence *is* the cross-entropy, so p can be more than the label; `target` says what:

========  ====================================  ===================================================
smooth    p = (1-ε) label + ε/C                 label smoothing less its floor, the entropy of p
onehot    p = label                             literally CE + CE
view      p = softmax(`view_logits[:, 0]`),     two views shall agree; no gradient through p; CE is
          q = softmax(`view_logits[:, 1]`)      also taken on `logits`
teacher   p = softmax(teacher / T),             distillation (Hinton 2015), times T²
          q = softmax(`logits` / T)
prior     p = class frequencies,                the marginal shall match; CE is also taken on
          q = batch mean of softmax(`logits`)   `logits`
========  ====================================  ===================================================

`view` and `prior` tell `logits` nothing of the labels, and some heads compute them by layers of
their own: without a cross-entropy there, those layers would learn to predict nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import nn

from zoo_losses.ce import cross_entropy, weighted_mean

if TYPE_CHECKING:
    from torch import Tensor

    import zoo

Target = Literal["smooth", "onehot", "view", "teacher", "prior"]
#: the targets whose divergence carries no label to `logits`
_UNLABELLED = ("view", "prior")


def kl(p: Tensor, log_q: Tensor) -> Tensor:
    """`KL(p ‖ q) = Σ_c p_c (log p_c - log q_c)` per row, 0 log 0 = 0; `[..., C]` → `[...]`.

    Never the reverse, KL(q ‖ p): under a one-hot p that is infinite.
    """
    # What `F.kl_div` computes, in operations that `torch.func.vmap` knows.
    return (torch.xlogy(p, p) - p * log_q).sum(dim=-1)


def smoothed(target: Tensor, classes: int, epsilon: float) -> Tensor:
    """`(1-ε) label + ε/C`, `[N, C]` float32, of indices `[N]` or distributions `[N, C]`."""
    if target.is_floating_point():
        label = target
    else:
        # `F.one_hot` would, on some devices, make the host wait to check the labels.
        label = target[:, None] == torch.arange(classes, device=target.device)
    return (1 - epsilon) * label.float() + epsilon / classes


class CrossEntropyKL(nn.Module):
    """Cross-entropy on the first output, a divergence on the second."""

    frequencies: Tensor

    def __init__(
        self,
        context: zoo.LossContext,
        *,
        target: Target,
        kl_weight: float,
        epsilon: float,
        temperature: float,
    ) -> None:
        """Keep the options, and for `prior` the class frequencies of the training part."""
        super().__init__()
        self.target = target
        self.classes = context.classes
        self.kl_weight = kl_weight
        self.epsilon = epsilon
        self.temperature = temperature
        if target == "prior":
            counts = torch.tensor(context.class_counts, dtype=torch.float32)
            # The plan holds the counts: no need to keep them in checkpoints.
            self.register_buffer("frequencies", counts / counts.sum(), persistent=False)

    def forward(self, output: zoo.HeadOutput, batch: zoo.Batch) -> dict[str, Tensor]:
        """`ce`, `kl` (times kl_weight, left out at 0), for `view` and `prior` also `ce_logits`.

        Everything is computed in float32; each term is a scalar, the mean over the batch.
        """
        logits = output.logits.float()  # [N, C]
        # The plan has seen to it that the head gives them: a declared need.
        view_logits = cast("Tensor", output.view_logits).float()  # [N, V, C]
        terms = {"ce": cross_entropy(view_logits[:, 0], batch)}
        if self.target in _UNLABELLED:
            terms["ce_logits"] = cross_entropy(logits, batch)
        if self.kl_weight > 0:
            terms["kl"] = self.kl_weight * self._divergence(logits, view_logits, batch)
        return terms

    def _divergence(self, logits: Tensor, view_logits: Tensor, batch: zoo.Batch) -> Tensor:
        if self.target == "prior":
            # One value for the whole batch as it was drawn: no sample's weight enters.
            log_mean_q = logits.log_softmax(-1).logsumexp(0) - math.log(len(logits))
            return kl(self.frequencies, log_mean_q)
        if self.target == "view":
            parts = kl(view_logits[:, 0].detach().softmax(-1), view_logits[:, 1].log_softmax(-1))
        elif self.target == "teacher":
            teacher = batch.extras["teacher_logits"].float() / self.temperature
            student = (logits / self.temperature).log_softmax(-1)
            # The gradient shrinks with 1/T²; the factor keeps kl_weight's meaning at any T.
            parts = self.temperature**2 * kl(teacher.softmax(-1), student)
        else:
            epsilon = self.epsilon if self.target == "smooth" else 0.0
            parts = kl(smoothed(batch.target, self.classes, epsilon), logits.log_softmax(-1))
        return weighted_mean(parts, batch.weight)


def build(
    context: zoo.LossContext,
    *,
    target: Target = "smooth",
    kl_weight: float = 1.0,
    epsilon: float = 0.1,
    temperature: float = 4.0,
) -> nn.Module:
    """The loss for `context`; `epsilon` counts for `smooth`, `temperature` for `teacher`."""
    return CrossEntropyKL(
        context, target=target, kl_weight=kl_weight, epsilon=epsilon, temperature=temperature
    )
