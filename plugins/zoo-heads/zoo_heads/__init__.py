"""The heads `linear` and `contrastive`: their descriptions, without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import zoo

if TYPE_CHECKING:
    from collections.abc import Iterable

_DROPOUT = zoo.Option(
    type="float",
    default=0.0,
    minimum=0.0,
    maximum=0.9,
    help="share of the features set to zero in training",
)


@zoo.hookimpl
def zoo_heads() -> Iterable[zoo.Component]:
    """The plugin's heads."""
    yield zoo.Component(
        name="linear",
        target="zoo_heads.linear:build",
        summary="One fully connected layer; logits are the mean over views.",
        options={"dropout": _DROPOUT},
        needs=("features",),
        provides=("logits", "view_logits"),
        convex=zoo.ByOption("dropout", {"0.0": True}, otherwise=False),
    )
    yield zoo.Component(
        name="contrastive",
        target="zoo_heads.contrastive:build",
        summary="SimCLR projection per view, a classifier per view and one over both views.",
        options={
            "hidden": zoo.Option(
                type="int",
                default=0,
                minimum=0,
                help="width of the projection's hidden layers; 0: the backbone's feature width",
            ),
            "width": zoo.Option(
                type="int", default=128, minimum=1, help="E, the width of the embedding"
            ),
            "layers": zoo.Option(
                type="int",
                default=2,
                minimum=2,
                maximum=4,
                help="fully connected layers of the projection",
            ),
            "dropout": _DROPOUT,
        },
        needs=("features",),
        provides=("logits", "view_logits", "embeddings"),
        views=2,
    )
