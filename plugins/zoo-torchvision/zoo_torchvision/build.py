"""Builds torchvision's classification backbones without their classifiers.

`zoo_torchvision.build:NAME` is the builder of the torchvision model of that name; they are made on
demand. Features are what the last linear layer saw, pooled: `[N, D]`.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torchvision import models
from torchvision.models.vision_transformer import interpolate_embeddings

import zoo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    State = dict[str, Tensor]

#: auxiliary classifiers of googlenet and inception_v3, which only ever helped their training
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
#: models whose published weights were trained on inputs scaled to -1..1: torchvision undoes the
#: ImageNet normalisation inside the model
RESCALED = ("googlenet", "inception_v3")
#: side of the input in pixels where the architecture fixes it and it is not 224
SIDES = {"vit_h_14": 518}


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
    whole = models.get_model(name, weights=None, **_arguments(name, weights, img_size))
    keys = whole.state_dict().keys()
    module = headless(whole)
    if weights is None:
        return module
    classifier = tuple(keys - module.state_dict().keys())
    return zoo.load_weights(
        module, weights, rename=partial(_fitted, module), classifier=(*classifier, *AUXILIARY)
    )


def headless(model: nn.Module) -> nn.Module:
    """The model less its last linear layer and the dropout right before it."""
    match model:
        case models.MNASNet():
            # Rebuilt since MNASNet refuses state dicts without its own version stamp.
            pool = nn.AdaptiveAvgPool2d(1)
            return nn.Sequential(
                OrderedDict(layers=model.layers, pool=pool, flatten=nn.Flatten())
            )
        case models.SqueezeNet():
            model.classifier = nn.AdaptiveAvgPool2d(1)
        case models.VisionTransformer():
            model.heads = nn.Identity()
        case models.SwinTransformer():
            model.head = nn.Identity()
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


def _arguments(name: str, weights: Path | None, img_size: int | None) -> dict[str, Any]:
    side = img_size or SIDES.get(name)
    if name.startswith("vit_"):
        return {"image_size": side} if side else {}
    if name == "maxvit_t":
        return {"input_size": (side, side)} if side else {}
    if name in RESCALED:
        # init_weights: torch's own initialisation, not the truncated normal that takes minutes
        given = weights is not None
        return {"aux_logits": False, "init_weights": False, "transform_input": given}
    return {}


def _fitted(module: nn.Module, state: State) -> State:
    """The file's tensors under today's keys, position embeddings resampled to the module's size."""
    if isinstance(module, models.DenseNet):
        # `norm.1` and the like in the published files; torchvision renames them as it downloads
        return {
            re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2.", key): value
            for key, value in state.items()
        }
    if isinstance(module, models.VisionTransformer) and "encoder.pos_embedding" in state:
        state = {
            re.sub(r"(\.mlp)\.linear_([12])\.", lambda m: f"{m[1]}.{3 * (int(m[2]) - 1)}.", key): value
            for key, value in state.items()
        }
        resampled = interpolate_embeddings(
            module.image_size, module.patch_size, cast("OrderedDict[str, Tensor]", OrderedDict(state))
        )
        return dict(resampled)
    return state
