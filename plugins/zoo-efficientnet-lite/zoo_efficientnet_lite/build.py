"""Builds EfficientNet-Lite0 and maps the published keys onto timm's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import timm

import zoo

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

#: blocks of each of the seven stages
STAGES = (1, 2, 2, 3, 3, 4, 1)
#: the published name of a block's layer → timm's; the first block has no expansion
FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
OTHERS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
#: the same outside the blocks
AROUND = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}


def lite0(weights: Path | None) -> nn.Module:
    """EfficientNet-Lite0 without its classifier: images `[N, 3, H, W]` → features `[N, 1280]`.

    Args:
        weights: the published file, or one with timm's keys; None leaves the weights random.

    Raises:
        zoo.ZooError: the file does not fit.
    """
    module = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    if weights is None:
        return module
    return zoo.load_weights(module, weights, rename=to_timm, classifier=("classifier.",))


def to_timm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published state dict under timm's keys; keys that are timm's already stay."""
    return {renamed(key): tensor for key, tensor in state.items()}


def renamed(key: str) -> str:
    """What timm calls one published key: `_blocks.2._bn0.bias` → `blocks.1.1.bn1.bias`."""
    layer, _, rest = key.partition(".")
    if layer != "_blocks":
        return f"{AROUND.get(layer, layer)}.{rest}"
    number, layer, kind = rest.split(".")
    names = OTHERS if int(number) else FIRST
    return f"blocks.{_place(int(number))}.{names.get(layer, layer)}.{kind}"


def _place(number: int) -> str:
    """`stage.block` of the block with that running number."""
    stage = 0
    while number >= STAGES[stage]:
        number -= STAGES[stage]
        stage += 1
    return f"{stage}.{number}"
