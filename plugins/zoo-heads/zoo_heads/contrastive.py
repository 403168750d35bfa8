"""`contrastive`: a SimCLR projection of each view, and classifiers of one view and of both.

The projection is that of SimCLR (arXiv 2002.05709), without batch normalisation: a batch of one
image trains, and no image's result depends on its neighbours.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

import zoo
from zoo_heads.dropout import Dropout

if TYPE_CHECKING:
    from torch import Tensor


class Contrastive(nn.Module):
    """A shared projection, a shared classifier of a view, and a classifier of two views."""

    def __init__(
        self, context: zoo.HeadContext, *, hidden: int, width: int, layers: int, dropout: float
    ) -> None:
        """The projection starts random, both classifiers start at zero (first losses are ln C)."""
        super().__init__()
        inner = hidden or context.features
        widths = [context.features, *[inner] * (layers - 1), width]
        steps: list[nn.Module] = []
        for before, after in pairwise(widths):
            steps += [nn.Linear(before, after), nn.ReLU()]
        self.dropout = Dropout(dropout)
        self.projection = nn.Sequential(*steps[:-1])  # the embedding itself may be negative
        self.view_classifier = nn.Linear(width, context.classes)
        self.joint_classifier = nn.Linear(2 * width, context.classes)
        for classifier in (self.view_classifier, self.joint_classifier):
            nn.init.zeros_(classifier.weight)
            nn.init.zeros_(classifier.bias)

    def forward(self, features: Tensor) -> zoo.HeadOutput:
        """Features `[N, V, D]` → logits `[N, C]`, view_logits `[N, V, C]`, embeddings `[N, V, E]`.

        The logits are the joint classifier's of the concatenation of two views, averaged over both
        orders. That classifier is linear, so this mean is its value at the mean embedding, put in
        twice. Written so, one view is duplicated, and more than two are averaged over all ordered
        pairs.
        """
        embeddings = self.projection(self.dropout(features))
        mean = embeddings.mean(dim=1)  # [N, E]
        logits = self.joint_classifier(torch.cat([mean, mean], dim=-1))
        return zoo.HeadOutput(logits, self.view_classifier(embeddings), embeddings)


def build(
    context: zoo.HeadContext,
    *,
    hidden: int = 0,
    width: int = 128,
    layers: int = 2,
    dropout: float = 0.0,
) -> nn.Module:
    """The head for `context`; `hidden` 0 stands for the backbone's feature width D."""
    return Contrastive(context, hidden=hidden, width=width, layers=layers, dropout=dropout)
