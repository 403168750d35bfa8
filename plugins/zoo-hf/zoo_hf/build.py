"""A vision model of transformers as a backbone: images `[N, 3, H, W]` → features `[N, D]`."""

from __future__ import annotations

import json
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel
from transformers.utils import logging

import zoo
from zoo_hf.families import POOLING, vision
from zoo_hf.processors import flips_channels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

#: families whose pooler is trained by nobody who only classifies: it is left out
_UNPOOLED = ("deit", "ijepa", "vit")
#: what a published file may hold beside the backbone: classifiers, the other tower, unused poolers
_LEFTOVER = (
    "classifier", "cls_classifier", "distillation_classifier", "head.", "logit_", "text_",
    "visual_", "pooler.", "decoder", "decode_head", "auxiliary_head", "lm_head",
    "embeddings.mask_token",
)  # fmt: skip


class Pooled(nn.Module):
    """A model of transformers and the pooling of its family."""

    def __init__(self, config: dict[str, Any], *, flipped: bool) -> None:
        """Build the model with random weights."""
        super().__init__()
        family = vision(config)
        name = family["model_type"]
        described = AutoConfig.for_model(**family)
        more = {"add_pooling_layer": False} if name in _UNPOOLED else {}
        self.model = AutoModel.from_config(described, **more)
        self.pooling, self.flipped = POOLING[name], flipped

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images `[N, 3, H, W]` → features `[N, D]`."""
        if self.flipped:
            images = images.flip(1)
        found = self.model(pixel_values=images)
        if self.pooling == "pooler":
            return found.pooler_output.flatten(1)  # type: ignore[no-any-return]
        hidden = found.last_hidden_state
        if self.pooling == "token":
            token = getattr(found, "cls_token_value", None)
            return hidden[:, 0] if token is None else token[:, 0]  # type: ignore[no-any-return]
        is_map = hidden.ndim == 4  # noqa: PLR2004 - [N, D, H, W]
        return hidden.flatten(2).mean(-1) if is_map else hidden.mean(1)  # type: ignore[no-any-return]


def build(
    weights: Path | None,
    *,
    model: str | None = None,
    config: str | None = None,
    processor: str | None = None,
) -> nn.Module:
    """The backbone; `config` and `processor` are JSON, as `zoo_hf.hub.specify` looked them up.

    Raises:
        ValueError: the configuration was not looked up.
        zoo.ZooError: the weights file does not fit.
    """
    if config is None:
        message = f"the configuration of {model} was not looked up"
        raise ValueError(message)
    with _quiet():
        described = json.loads(config)
        flipped = flips_channels(json.loads(processor or "{}"), vision(described))
        pooled = Pooled(described, flipped=flipped)
    if weights is None:
        return pooled

    def rename(state: dict[str, Tensor]) -> dict[str, Tensor]:
        own = pooled.state_dict().keys() <= state.keys()  # a file that zoo itself wrote
        return state if own else _renamed(pooled.model, state)

    return zoo.load_weights(pooled, weights, rename=rename, classifier=_LEFTOVER)


def _renamed(model: Any, state: dict[str, Tensor]) -> dict[str, Tensor]:  # noqa: ANN401 - theirs
    """A published file's tensors under the names that this transformers' modules have.

    Only transformers knows how it renamed its modules since the file was written: it loads the file
    into a model of its own, and tells what it missed and what it could not use.
    """
    more = {"add_pooling_layer": False} if model.config.model_type in _UNPOOLED else {}
    with _quiet():
        filled, told = type(model).from_pretrained(
            None,
            config=model.config,
            state_dict=dict(state),
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # which are then told as such by zoo
            output_loading_info=True,
            **more,
        )
    missing = {*told["missing_keys"], *(key for key, *_ in told["mismatched_keys"])}
    found = {
        f"model.{key}": value for key, value in filled.state_dict().items() if key not in missing
    }
    shapes = {key: shape for key, shape, *_ in told["mismatched_keys"]}
    found |= {f"model.{key}": torch.empty(shape) for key, shape in shapes.items()}
    return found | {key: state[key] for key in told["unexpected_keys"] if key in state}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' report and progress bar, and what it does to warnings' filters."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
