"""Losses with class weights, computed on the similarities of a head that has the weights.

In pytorch-metric-learning each of these losses owns its class weights and compares embeddings with
them. Here the head `cosine` owns them, because prediction needs them too, and gives the
similarities `[N, V, C]`; the library's arithmetic (margins, scales, reductions) is applied to
these. Every view counts as a sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from zoo_metric_learning.pairs import class_indices
from zoo_metric_learning.survey import CHOSEN, builder
from zoo_metric_learning.wrapped import distances, losses, reducers

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    import zoo


class _Given(distances.CosineSimilarity):
    """The distance of a loss whose "embeddings" are the similarities to its classes already."""

    def forward(self, query_emb: Any, ref_emb: Any = None) -> Any:  # noqa: ANN401 - as its base
        """The similarities `[N, C]` as they are; the loss's own class weights are not looked at."""
        del ref_emb
        return query_emb


class _GivenSquares(distances.LpDistance):
    """The same for a loss of squared distances: those of unit vectors are 2 - 2 cos."""

    def forward(self, query_emb: Any, ref_emb: Any = None) -> Any:  # noqa: ANN401 - as its base
        """Squared distances `[N, C]` of similarities."""
        del ref_emb
        return 2 - 2 * query_emb


class Margins(nn.Module):
    """A loss of the library on similarities to classes."""

    def __init__(self, name: str, context: zoo.LossContext, **options: Any) -> None:  # noqa: ANN401 - as the library has them
        """Build the library's loss; its class weights are of no use, so nothing registers them."""
        super().__init__()
        self.name, self.coupled = name, CHOSEN[name].coupled
        squares = isinstance(_default_distance(name), distances.LpDistance)
        reducer: dict[str, Any] = {} if self.coupled else {"reducer": reducers.DoNothingReducer()}
        # Else it would draw weights, from the generator that the head is drawn from.
        with torch.random.fork_rng(devices=[]):
            made = getattr(losses, CHOSEN[name].theirs)(
                num_classes=context.classes,
                embedding_size=context.classes,
                distance=_GivenSquares() if squares else _Given(),
                **reducer,
                **options,
            ).requires_grad_(requires_grad=False)
        self._library = (made,)  # in a tuple, it is no part of this module's state

    def forward(self, output: zoo.HeadOutput, batch: zoo.Batch) -> dict[str, Tensor]:
        """`{NAME: scalar}` in float32: the mean over samples and views, by `batch.weight`."""
        assert output.similarities is not None  # noqa: S101 - a declared need, seen to by the plan
        samples, views, classes = output.similarities.shape
        similarities = output.similarities.float().reshape(samples * views, classes)
        labels = class_indices(batch.target).repeat_interleave(views)
        with torch.autocast(similarities.device.type, enabled=False):
            found = self._library[0](similarities, labels)
        if self.coupled:
            return {self.name: found}
        parts = torch.zeros_like(similarities[:, 0]).index_put(
            (found["loss"]["indices"],), found["loss"]["losses"]
        )
        if batch.weight is not None:
            parts = parts * batch.weight.repeat_interleave(views)
        return {self.name: parts.mean()}


def _default_distance(name: str) -> object:
    """What the library's class measures by, asked of the class as it is without an instance."""
    library = getattr(losses, CHOSEN[name].theirs)
    return library.get_default_distance(library)


def __getattr__(name: str) -> Callable[..., nn.Module]:
    """`build(context, **options)` of a loss of this kind, by its name in the catalog."""
    return builder(__name__, "similarities", name, Margins, {})
