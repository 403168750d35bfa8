"""Builds timm's backbones, and maps published weights onto them.

`zoo_timm.build:NAME` is the builder of the timm model of that name; they are made on demand.
"""

from __future__ import annotations

import inspect
from fnmatch import fnmatch
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest import mock

import timm
import torch
from timm.models import _builder

import zoo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor, nn

    State = dict[str, Tensor]

#: vision encoders of language models: timm's default for them is the projection of every token into
#: the language model; this is timm's own pooling of the tokens themselves
ENCODERS = "*_vit_*_enc"
#: models that give their feature map `[N, D, h, w]` even without a classifier
MAPS = "mobilenetv5_*_enc"
#: what a published file may hold beside its classifier: pooling, projection and training heads that
#: the bare backbone does not have, and that timm leaves out as well
ASIDE = ("attn_pool.", "AuxLogits.", "merger.", "aligner.")
#: architectures with tags whose files lack the last norm; timm keeps a fresh one, and so do we
FRESH_NORM = ("convnextv2_*", "davit_*_fl")


def __getattr__(name: str) -> Callable[..., nn.Module]:
    """The builder of the timm model `name`."""
    if not timm.is_model(name):
        message = f"timm {timm.__version__} has no model {name!r}"
        raise AttributeError(message)
    return partial(build, name)


def build(name: str, weights: Path | None, **options: Any) -> nn.Module:  # noqa: ANN401 - timm's own keywords
    """The timm model without its classifier: images `[N, 3, H, W]` → pooled features `[N, D]`.

    Args:
        name: of `timm.list_models()`.
        weights: a file as timm publishes it for this model, or one saved from the bare backbone;
            None leaves the weights random.
        options: of the component, handed to `timm.create_model`; a None counts as not given.

    Raises:
        zoo.ZooError: the file does not fit.
    """
    if fnmatch(name, ENCODERS):
        options["global_pool"] = "avg"
    if weights is None:
        return _pooled(name, timm.create_model(name, num_classes=0, **options))
    module, convert = _listening(name, weights, options)
    classifier = _classifier_keys(name, module, options)

    def rename(state: State) -> State:
        return _fitted(name, module, convert, classifier, state)

    zoo.load_weights(module, weights, rename=rename, classifier=(*classifier, *ASIDE))
    return _pooled(name, module)


def _pooled(name: str, module: nn.Module) -> nn.Module:
    """The module itself, made to average its map where it would give one."""
    if fnmatch(name, MAPS):
        # A hook, not a wrapper: the keys of the weights stay timm's.
        module.register_forward_hook(_mean_of_map)
    return module


def _mean_of_map(_: nn.Module, __: tuple[Tensor, ...], feature_map: Tensor) -> Tensor:
    """`[N, D, h, w]` → `[N, D]`."""
    return feature_map.mean((2, 3))


def _classifier_keys(name: str, module: nn.Module, options: dict[str, Any]) -> tuple[str, ...]:
    """The keys that the model has with a classifier and `module`, the bare one, lacks."""
    with torch.device("meta"):
        whole = timm.create_model(name, num_classes=2, **options)
    return tuple(key for key in whole.state_dict() if key not in module.state_dict())


def _listening(
    name: str, weights: Path, options: dict[str, Any]
) -> tuple[nn.Module, Callable[[State, nn.Module], State]]:
    """The bare model, and the conversion that timm would apply to a file of its weights.

    timm tells the conversion to nobody but its own loader. So the model is made as if timm were to
    load the file, with a listener in the loader's place.
    """
    with mock.patch.object(_builder, "load_pretrained") as loader:
        module = timm.create_model(
            name,
            pretrained=True,
            pretrained_cfg_overlay={"file": str(weights)},
            num_classes=0,
            **options,
        )
    convert = loader.call_args.kwargs.get("filter_fn")
    if convert is None:
        return module, lambda state, _: state
    if len(inspect.signature(convert).parameters) == 1:  # the old form, which timm still accepts
        return module, lambda state, _: convert(state)
    return module, convert


def _fitted(
    name: str,
    module: nn.Module,
    convert: Callable[[State, nn.Module], State],
    classifier: tuple[str, ...],
    state: State,
) -> State:
    """The file's tensors under the module's keys and, where timm resamples, in its shapes."""
    own = module.state_dict()
    bare = own.keys() <= state.keys()
    if bare and all(state[key].shape == own[key].shape for key in own):
        return state
    # timm's conversions tell an old file by the absence of today's classifier: a bare backbone's
    # file gets one for as long as that takes.
    lent = {key: torch.zeros(1) for key in classifier if bare and key not in state}
    try:
        state = dict(convert({**state, **lent}, module))
    except Exception:  # noqa: BLE001 - whatever it stumbles over, this is no file of the model
        return state  # as it came: the loader will count and name what does not fit
    for key in lent:
        state.pop(key, None)
    if any(fnmatch(name, pattern) for pattern in FRESH_NORM):
        state = {key: own[key] for key in own if key.startswith("head.norm.")} | state
    return state
