"""`cosine`: similarities of a normalised embedding to normalised class weights."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everyone writes it

import zoo

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import Tensor


def exactly(device: str) -> AbstractContextManager[object]:
    """No autocast on a device of this type, nor where there is none, as on `meta`."""
    if torch.amp.is_autocast_available(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()


class Cosine(nn.Module):
    """`z = normalise(W h)`, `s_c = max_k z · normalise(w_ck)`, `logits = scale · mean over views`.

    Several centres of a class are those of sub-centre ArcFace (ECCV 2020).
    """

    def __init__(self, context: zoo.HeadContext, *, width: int, centers: int, scale: float) -> None:
        """The embedding begins as torch's linear layer, the centres in random directions."""
        super().__init__()
        self.scale = scale
        self.embedding = nn.Linear(context.features, width) if width else nn.Identity()
        self.centers = nn.Parameter(
            torch.empty(context.classes, centers, width or context.features)
        )
        nn.init.normal_(self.centers)

    def forward(self, features: Tensor) -> zoo.HeadOutput:
        """Features `[N, V, D]` → all four outputs; the embeddings `[N, V, E]` have length 1.

        Similarities are computed in float32: a scale of 30 or more would make the steps of bfloat16
        a tenth of a logit.
        """
        embeddings = self.embedding(features)
        with exactly(features.device.type):
            embeddings = F.normalize(embeddings.float(), dim=-1)
            centers = F.normalize(self.centers.float(), dim=-1)
            similarities = torch.einsum("nve,cke->nvck", embeddings, centers).amax(dim=-1)
            view_logits = self.scale * similarities
        return zoo.HeadOutput(view_logits.mean(dim=1), view_logits, embeddings, similarities)


def build(
    context: zoo.HeadContext, *, width: int = 0, centers: int = 1, scale: float = 30.0
) -> nn.Module:
    """The head for `context`; `width` 0 takes the features themselves as the embedding."""
    return Cosine(context, width=width, centers=centers, scale=scale)
