"""Losses on pairs and triplets of embeddings, each beside a cross-entropy on the logits.

`L = CE(logits, y) + weight · metric(embeddings, labels)`. The embeddings `[N, V, E]` of all views
count as N · V samples. A pair is positive where the labels are equal (`pairs=label`) or where both
are views of one image (`pairs=image`, which knows no labels). The cross-entropy trains what
predicts: a metric alone says nothing to a classifier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everyone writes it

from zoo_metric_learning.survey import CHOSEN, builder
from zoo_metric_learning.wrapped import losses, miners

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    import zoo

#: the options that all of these have beside the library's own
OWN = {"weight": 1.0, "pairs": "label", "miner": "none"}
_MINERS: dict[str, Callable[[], Any]] = {
    "batch_easy_hard": miners.BatchEasyHardMiner,
    "batch_hard": miners.BatchHardMiner,
    "multi_similarity": miners.MultiSimilarityMiner,
    "pair_margin": miners.PairMarginMiner,
    "triplet_margin": miners.TripletMarginMiner,
}


def class_indices(target: Tensor) -> Tensor:
    """Class indices `[N]` of a target; the likeliest class of a distribution `[N, C]`."""
    return target.argmax(dim=-1) if target.is_floating_point() else target


class Pairs(nn.Module):
    """A loss of the library on embeddings, with what it may have to learn itself."""

    def __init__(self, name: str, *, weight: float, pairs: str, miner: str, **options: Any) -> None:  # noqa: ANN401 - as the library has them
        """Build the library's loss and miner."""
        super().__init__()
        self.name, self.weight, self.pairs = name, weight, pairs
        self.metric = getattr(losses, CHOSEN[name].theirs)(**options)
        self.miner = _MINERS[miner]() if miner != "none" else None

    def forward(self, output: zoo.HeadOutput, batch: zoo.Batch) -> dict[str, Tensor]:
        """`{"ce": scalar, NAME: scalar}` in float32; the latter is left out at weight 0."""
        target = batch.target.float() if batch.target.is_floating_point() else batch.target
        terms = {"ce": F.cross_entropy(output.logits.float(), target)}
        if self.weight > 0:
            terms[self.name] = self.weight * self._metric(output, batch)
        return terms

    def _metric(self, output: zoo.HeadOutput, batch: zoo.Batch) -> Tensor:
        assert output.embeddings is not None  # noqa: S101 - a declared need, seen to by the plan
        samples, views, width = output.embeddings.shape
        embeddings = output.embeddings.float().reshape(samples * views, width)
        labels = class_indices(batch.target)
        if self.pairs == "image":
            labels = torch.arange(samples, device=embeddings.device)
        labels = labels.repeat_interleave(views)
        with torch.autocast(embeddings.device.type, enabled=False):
            chosen = self.miner(embeddings, labels) if self.miner is not None else None
            return self.metric(embeddings, labels, chosen)  # type: ignore[no-any-return]


def __getattr__(name: str) -> Callable[..., nn.Module]:
    """`build(context, **options)` of a loss of this kind, by its name in the catalog."""
    return builder(__name__, "embeddings", name, _pairs, OWN)


def _pairs(name: str, context: zoo.LossContext, **options: Any) -> nn.Module:  # noqa: ANN401 - as declared
    del context  # pairs need to know nothing of the run
    options.setdefault("miner", "none")  # a loss that takes none
    return Pairs(name, **options)
