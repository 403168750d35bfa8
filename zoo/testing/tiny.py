"""Descriptions of the fakes: a backbone, a head and a loss that train in milliseconds."""

from __future__ import annotations

import zoo
from zoo.plugins.distributions import Source
from zoo.plugins.loader import Offer

_HOT = "zoo.testing.hot.tiny"
BACKBONE = zoo.Component(
    name="net",
    target=f"{_HOT}:net",
    summary="One convolution; for tests.",
    options={"width": zoo.Option(type="int", default=8, minimum=1, maximum=64, help="D")},
    provides=("features",),
    weights=(
        zoo.Weights(
            tag="none", default=True, preprocess=zoo.Preprocess(size=(32, 32), resize=(36, 36))
        ),
    ),
    facts=zoo.Facts(params=392, features=8, input_size=(32, 32), layout="conv"),
)
HEAD = zoo.Component(
    name="classifier",
    target=f"{_HOT}:classifier",
    summary="One fully connected layer; for tests.",
    needs=("features",),
    provides=("logits", "view_logits", "embeddings"),
    convex=True,
)
LOSS = zoo.Component(
    name="cross_entropy",
    target=f"{_HOT}:cross_entropy",
    summary="Cross-entropy; for tests.",
    needs=("logits",),
    weighted=True,
    convex=True,
)
#: the fakes as a plugin offers its components
OFFER = Offer(
    Source("zoo-tiny", zoo.__version__, "tiny", "zoo.testing.tiny", "tiny"),
    components={"backbone": (BACKBONE,), "head": (HEAD,), "loss": (LOSS,)},
)
