"""What passes between the engine, heads and losses: shapes in words, tensors at run time.

The types are written here without importing torch, so that a plugin's cold half and this
package's public door stay light. N samples, V views, D feature width, C classes, E embedding width.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadContext:
    """What a head is built for.

    Args:
        features: D, the width of a backbone's features.
        classes: C.
        views: V in training; the head must accept V = 1 as well, which is what prediction gives.
    """

    features: int
    classes: int
    views: int


@dataclass(frozen=True, slots=True)
class HeadOutput:
    """What a head makes of features `[N, V, D]`.

    Args:
        logits: `[N, C]`; what prediction uses.
        view_logits: `[N, V, C]`, or None where the head does not provide them.
        embeddings: `[N, V, E]`, or None where the head does not provide them.
        similarities: cosine similarities of each view to each class, `[N, V, C]` within -1..1, of
            which the logits are made; or None where the head does not provide them.
    """

    logits: Tensor
    view_logits: Tensor | None = None
    embeddings: Tensor | None = None
    similarities: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LossContext:
    """What a loss is built for.

    Args:
        classes: C.
        class_counts: images of each class in the training part, in class order.
        embedding: E of the head's embeddings; 0 where it has none.
        steps: optimiser steps of the phase.
    """

    classes: int
    class_counts: tuple[int, ...]
    embedding: int
    steps: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What a loss may know beside a head's output.

    Args:
        target: class indices `[N]` (int64), or distributions `[N, C]` (float).
        samples: sample ids `[N]` (int64), stable over the run.
        epoch: from 0 within the phase.
        weight: per-sample weights `[N]` with mean about 1, or None; a loss multiplies each
            sample's part by its weight before the mean.
        extras: what the loss declared in `needs` and the engine computed, by name
            (`teacher_logits` `[N, C]`).
    """

    target: Tensor
    samples: Tensor
    epoch: int
    weight: Tensor | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict)
