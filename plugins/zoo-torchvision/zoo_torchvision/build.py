"""Builds torchvision's classification backbones without their classifiers.

`zoo_torchvision.build:NAME` is the builder of the torchvision model of that name; they are made on
demand. Features are what the last linear layer saw, pooled: `[N, D]`.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from torch import nn
from torchvision import models
from torchvision.models.regnet import BlockParams
from torchvision.models.vision_transformer import interpolate_embeddings

import zoo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    State = dict[str, Tensor]

#: auxiliary classifiers of googlenet and inception_v3, which only ever helped their training
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
#: models whose published weights want inputs of -1..1: they take ImageNet's normalisation off
#: themselves (`transform_input`). Not only when weights are given: a finished run is built again
#: without the published file and must give the same features.
RESCALING = ("googlenet", "inception_v3")
#: the two linear layers of a block in older files of vision transformers, and today's names
RENAMED = {".mlp.linear_1.": ".mlp.0.", ".mlp.linear_2.": ".mlp.3."}
#: side of the input in pixels where the architecture fixes it and it is not 224
SIDES = {"vit_h_14": 518}
BLOCK_PARAMS = BlockParams.from_init_params


def __getattr__(name: str) -> Callable[..., nn.Module]:
    """The builder of the torchvision model `name`."""
    if name not in models.list_models(module=models):
        message = f"torchvision has no classification model {name!r}"
        raise AttributeError(message)
    return partial(build, name)


def build(name: str, weights: Path | None, *, img_size: int | None = None) -> nn.Module:
    """The torchvision model without its classifier: images `[N, 3, H, W]` → features `[N, D]`.

    Args:
        name: of `torchvision.models.list_models(module=torchvision.models)`.
        weights: a file as torchvision publishes it for this model, or one saved from the bare
            backbone; None leaves the weights random.
        img_size: side of the square input, pixels, where the architecture fixes it.

    Raises:
        zoo.ZooError: the file does not fit.
    """
    with mock.patch.object(BlockParams, "from_init_params", on_cpu):
        whole = models.get_model(name, weights=None, **arguments(name, img_size))
    keys = whole.state_dict().keys()
    module = headless(whole)
    if weights is None:
        return module
    classifier = tuple(keys - module.state_dict().keys())
    return zoo.load_weights(
        module, weights, rename=partial(_fitted, module), classifier=(*classifier, *AUXILIARY)
    )


def on_cpu(**numbers: Any) -> BlockParams:  # noqa: ANN401 - RegNet's own numbers
    """RegNet's widths; torchvision computes them with tensors, which the meta device cannot do."""
    with torch.device("cpu"):
        return BLOCK_PARAMS(**numbers)


def headless(model: nn.Module) -> nn.Module:
    """The model less its last linear layer and the dropout right before it."""
    match model:
        case models.MNASNet():
            # Rebuilt since MNASNet refuses state dicts without its own version stamp.
            return nn.Sequential(
                OrderedDict[str, nn.Module](
                    layers=model.layers, pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten()
                )
            )
        case models.SqueezeNet():
            model.add_module("classifier", nn.AdaptiveAvgPool2d(1))
        case models.VisionTransformer():
            model.add_module("heads", nn.Identity())
        case models.SwinTransformer():
            model.add_module("head", nn.Identity())
        case nn.Module(fc=nn.Linear()):
            if isinstance(getattr(model, "dropout", None), nn.Dropout):
                model.dropout = nn.Identity()
            model.fc = nn.Identity()
        case nn.Module(classifier=nn.Sequential() as classifier):
            last = -2 if isinstance(classifier[-2], nn.Dropout) else -1
            model.classifier = classifier[:last]
        case nn.Module(classifier=nn.Linear()):
            model.classifier = nn.Identity()
        case _:
            message = f"{type(model).__name__} has no classifier known to zoo-torchvision"
            raise TypeError(message)
    return model


def arguments(name: str, img_size: int | None) -> dict[str, Any]:
    """What the torchvision builder must be told beside the name."""
    side = img_size or SIDES.get(name)
    if name.startswith("vit_"):
        return {"image_size": side} if side else {}
    if name == "maxvit_t":
        return {"input_size": (side, side)} if side else {}
    if name in RESCALING:
        # init_weights: torch's own initialisation, not the truncated normal that takes minutes.
        return {"aux_logits": False, "init_weights": False, "transform_input": True}
    return {}


def _fitted(module: nn.Module, state: State) -> State:
    """The file's tensors under today's keys, position embeddings resampled to the module's size."""
    if isinstance(module, models.DenseNet):
        # The published files say `norm.1`; torchvision renames as it downloads.
        old = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
        return {old.sub(r"\1\2.", key): value for key, value in state.items()}
    if isinstance(module, models.VisionTransformer) and "encoder.pos_embedding" in state:
        for old, new in RENAMED.items():
            state = {key.replace(old, new): value for key, value in state.items()}
        return dict(
            interpolate_embeddings(module.image_size, module.patch_size, OrderedDict(state))
        )
    if isinstance(module, models.VGG):
        # IMAGENET1K_FEATURES has NaN for its linear layers: they shall count as missing.
        return {key: value for key, value in state.items() if value.isfinite().all()}
    return state
