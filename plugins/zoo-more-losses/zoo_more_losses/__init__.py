"""More losses for classifiers, of timm and torchvision, described without importing either."""

from __future__ import annotations

from typing import TYPE_CHECKING

import zoo

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_FACTOR = 1e6


def _factor(default: float, text: str) -> zoo.Option:
    return zoo.Option(type="float", default=default, minimum=0.0, maximum=_MAX_FACTOR, help=text)


def _exponent(default: float, text: str) -> zoo.Option:
    return zoo.Option(type="float", default=default, minimum=0.0, maximum=10.0, help=text)


def _smoothing(default: float) -> zoo.Option:
    text = "share of each label that is spread evenly over all classes"
    return zoo.Option(type="float", default=default, minimum=0.0, maximum=0.99, help=text)


@zoo.hookimpl
def zoo_losses() -> Iterator[zoo.Component]:
    """The plugin's losses."""
    yield zoo.Component(
        name="focal",
        target="zoo_more_losses.single:focal",
        summary="Cross-entropy that counts a sample the less, the surer it is right.",
        options={"gamma": _exponent(2.0, "exponent of 1 less the label's probability")},
        needs=("logits",),
        weighted=True,
    )
    yield zoo.Component(
        name="sigmoid_focal",
        target="zoo_more_losses.single:sigmoid_focal",
        summary="Focal loss of one-against-all classifiers (RetinaNet), of torchvision.",
        options={
            "alpha": zoo.Option(
                type="float",
                default=0.25,
                minimum=0.0,
                maximum=1.0,
                help="weight of the label's class; the others have 1 less this",
            ),
            "gamma": _exponent(2.0, "exponent of 1 less the right answer's probability"),
        },
        needs=("logits",),
        weighted=True,
    )
    yield zoo.Component(
        name="asymmetric",
        target="zoo_more_losses.single:asymmetric",
        summary="Focal exponents of their own for the label's class and the others, of timm.",
        options={
            "gamma_pos": _exponent(1.0, "exponent for the label's class"),
            "gamma_neg": _exponent(4.0, "exponent for the other classes"),
            "eps": _smoothing(0.1),
        },
        needs=("logits",),
        weighted=True,
    )
    yield zoo.Component(
        name="bce",
        target="zoo_more_losses.single:bce",
        summary="Binary cross-entropy of one-against-all classifiers, of timm.",
        options={
            "smoothing": _smoothing(0.1),
            "target_threshold": zoo.Option(
                type="float",
                minimum=0.0,
                maximum=1.0,
                help="targets above it become 1, the others 0; as they are if not given",
            ),
            "sum_classes": zoo.Option(
                type="bool", default=False, help="sum over the classes instead of their mean"
            ),
        },
        needs=("logits",),
        weighted=True,
        convex=True,
    )
    yield zoo.Component(
        name="label_smoothing",
        target="zoo_more_losses.single:label_smoothing",
        summary="Cross-entropy with smoothed labels, of timm.",
        options={"smoothing": _smoothing(0.1)},
        needs=("logits",),
        convex=True,
    )
    yield zoo.Component(
        name="poly1",
        target="zoo_more_losses.single:poly1",
        summary="Cross-entropy plus a multiple of 1 less the label's probability, of timm.",
        options={
            "epsilon": zoo.Option(
                type="float", default=2.0, minimum=-1.0, maximum=100.0, help="the multiple"
            ),
            "smoothing": _smoothing(0.0),
        },
        needs=("logits",),
        weighted=True,
    )
    yield zoo.Component(
        name="jsd",
        target="zoo_more_losses.several:jsd",
        summary="Cross-entropy of the first view, and agreement of all (AugMix), of timm.",
        options={
            "splits": zoo.Option(
                type="int", default=3, choices=(2, 3, 4), help="views of each image in a step"
            ),
            "alpha": _factor(12.0, "factor of the Jensen-Shannon divergence"),
            "smoothing": _smoothing(0.1),
        },
        needs=("view_logits",),
        views=zoo.ByOption("splits", {"2": 2, "4": 4}, 3),
    )
    yield zoo.Component(
        name="rdrop",
        target="zoo_more_losses.several:rdrop",
        summary="Cross-entropy of the views, and agreement under dropout (R-Drop).",
        options={"alpha": _factor(1.0, "factor of the divergence between two views")},
        needs=("view_logits",),
        views=2,
        weighted=True,
    )
