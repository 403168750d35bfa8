"""Losses of pytorch-metric-learning and a cosine head, described without importing either.

`catalog.json` holds the options that `zoo_metric_learning.survey` read off the library's
signatures; a test holds it equal to the library that is installed.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import zoo

if TYPE_CHECKING:
    from collections.abc import Iterator

MINERS = (
    "none",
    "batch_easy_hard",
    "batch_hard",
    "multi_similarity",
    "pair_margin",
    "triplet_margin",
)
_PAIRS = {
    "weight": zoo.Option(
        type="float",
        default=1.0,
        minimum=0.0,
        maximum=1e6,
        help="factor of the loss on embeddings; the cross-entropy beside it has 1",
    ),
    "pairs": zoo.Option(
        type="str",
        default="label",
        choices=("label", "image"),
        help="what makes two embeddings a pair: images of one class, or views of one image",
    ),
}
_MINER = zoo.Option(
    type="str", default="none", choices=MINERS, help="which pairs or triplets of a batch count"
)


@zoo.hookimpl
def zoo_heads() -> Iterator[zoo.Component]:
    """The one head, whose class weights the losses with a margin work on."""
    yield zoo.Component(
        name="cosine",
        target="zoo_metric_learning.cosine:build",
        summary="Cosine similarity of an embedding to learned centres of each class.",
        options={
            "width": zoo.Option(
                type="int",
                default=0,
                minimum=0,
                maximum=65536,
                help="E, the width of the embedding; 0: the features themselves",
            ),
            "centers": zoo.Option(
                type="int",
                default=1,
                minimum=1,
                maximum=64,
                help="centres of each class, of which the nearest counts",
            ),
            "scale": zoo.Option(
                type="float",
                default=30.0,
                minimum=1.0,
                maximum=1000.0,
                help="logits are the similarities times this",
            ),
        },
        needs=("features",),
        provides=("logits", "view_logits", "embeddings", "similarities"),
    )


@zoo.hookimpl
def zoo_losses() -> Iterator[zoo.Component]:
    """The losses on embeddings, and those on similarities to classes."""
    shipped = json.loads(files(__name__).joinpath("catalog.json").read_text("utf-8"))
    for record in shipped["losses"]:
        yield _component(record)


def _component(record: dict[str, Any]) -> zoo.Component:
    options = {name: zoo.Option(**described) for name, described in record["options"].items()}
    if record["of"] == "similarities":
        return zoo.Component(
            name=record["name"],
            target=f"zoo_metric_learning.margins:{record['name']}",
            summary=record["summary"],
            options=options,
            needs=("similarities",),
            batch_coupled=record["coupled"],
            weighted=not record["coupled"],
        )
    if record["mined"]:
        options |= {"miner": _MINER}
    return zoo.Component(
        name=record["name"],
        target=f"zoo_metric_learning.pairs:{record['name']}",
        summary=record["summary"],
        options=options | _PAIRS,
        needs=("logits", "embeddings"),
        views=zoo.ByOption("pairs", {"image": 2}, 1),
        batch_coupled=True,
    )
