"""The losses `ce` and `cekl`: their descriptions, without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import zoo

if TYPE_CHECKING:
    from collections.abc import Iterable

_OUTPUTS = ("logits", "view_logits")


@zoo.hookimpl
def zoo_losses() -> Iterable[zoo.Component]:
    """The plugin's losses."""
    yield zoo.Component(
        name="ce",
        target="zoo_losses.ce:build",
        summary="Cross-entropy, with label smoothing if wanted.",
        options={
            "label_smoothing": zoo.Option(
                type="float",
                default=0.0,
                minimum=0.0,
                maximum=0.99,
                help="share of each label that is spread evenly over all classes",
            )
        },
        needs=("logits",),
        weighted=True,
        convex=True,
    )
    yield zoo.Component(
        name="cekl",
        target="zoo_losses.cekl:build",
        summary="Cross-entropy on the first output plus a KL divergence on the second.",
        options={
            "target": zoo.Option(
                type="str",
                default="smooth",
                choices=("smooth", "onehot", "view", "teacher", "prior"),
                help="what the second output is drawn to",
            ),
            "kl_weight": zoo.Option(
                type="float",
                default=1.0,
                minimum=0.0,
                maximum=1e6,
                help="factor of the divergence",
            ),
            "epsilon": zoo.Option(
                type="float",
                default=0.1,
                minimum=0.0,
                maximum=0.99,
                help="target=smooth: share of each label that is spread evenly over all classes",
            ),
            "temperature": zoo.Option(
                type="float",
                default=4.0,
                minimum=0.1,
                help="target=teacher: divides the logits of teacher and student",
            ),
        },
        needs=zoo.ByOption("target", {"teacher": (*_OUTPUTS, "teacher_logits")}, _OUTPUTS),
        views=zoo.ByOption("target", {"view": 2}, 1),
        batch_coupled=zoo.ByOption("target", {"prior": True}, otherwise=False),
        weighted=True,
        # `view` holds a moving target still, and `prior` takes the logarithm of a mean.
        convex=zoo.ByOption("target", {"view": False, "prior": False}, otherwise=True),
    )
