"""Tiny models of each family, with random weights, as transformers itself saves them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_VIT = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
    "image_size": 32, "patch_size": 8,
}  # fmt: skip
_SWIN = {
    "embed_dim": 16,
    "depths": [1, 1],
    "num_heads": [1, 2],
    "image_size": 32,
    "patch_size": 4,
    "window_size": 4,
}
_STAGES = {"hidden_sizes": [8, 12], "depths": [1, 1]}
_CONV = {"hidden_sizes": [8, 12], "depths": [1, 1], "num_stages": 2}
_SQUARE = {"size": {"height": 32, "width": 32}}


@dataclass(frozen=True)
class Family:
    """A tiny model of a family.

    Args:
        config: class and arguments of its configuration.
        model: the class that is saved.
        processor: class and arguments of its image processor.
        classifier: the module whose input are the pooled features; "" where the model pools.
    """

    config: tuple[str, dict[str, Any]]
    model: str
    processor: tuple[str, dict[str, Any]]
    classifier: str = "classifier"


FAMILIES = {
    "vit": Family(("ViTConfig", _VIT), "ViTForImageClassification", ("ViTImageProcessor", _SQUARE)),
    "vit_base_model": Family(("ViTConfig", _VIT), "ViTModel", ("ViTImageProcessor", _SQUARE), ""),
    "deit": Family(
        ("DeiTConfig", _VIT),
        "DeiTForImageClassification",
        ("DeiTImageProcessor", {"size": {"height": 40, "width": 40}, "crop_size": _SQUARE["size"]}),
    ),
    "beit": Family(
        ("BeitConfig", _VIT), "BeitForImageClassification",
        ("BeitImageProcessor", {**_SQUARE, "do_center_crop": False}),
    ),
    "dinov2": Family(
        ("Dinov2Config", _VIT), "Dinov2Model",
        ("BitImageProcessor", {"size": {"shortest_edge": 40}, "crop_size": _SQUARE["size"]}), "",
    ),
    "swin": Family(
        ("SwinConfig", _SWIN), "SwinForImageClassification", ("ViTImageProcessor", _SQUARE)
    ),
    "swinv2": Family(
        ("Swinv2Config", _SWIN), "Swinv2ForImageClassification", ("ViTImageProcessor", _SQUARE)
    ),
    "convnextv2": Family(
        ("ConvNextV2Config", _CONV), "ConvNextV2ForImageClassification",
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 32}, "crop_pct": 0.875}),
    ),
    "resnet": Family(
        ("ResNetConfig", {**_STAGES, "embedding_size": 8, "layer_type": "basic"}),
        "ResNetForImageClassification",
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 48}, "crop_pct": 0.8}),
    ),
    "clip": Family(
        ("CLIPConfig", {"vision_config": _VIT, "text_config": {
            "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 16, "vocab_size": 20,
        }}),
        "CLIPModel",
        ("CLIPImageProcessor", {"size": {"shortest_edge": 32}, "crop_size": _SQUARE["size"]}), "",
    ),
    "siglip": Family(
        ("SiglipVisionConfig", _VIT), "SiglipVisionModel", ("SiglipImageProcessor", _SQUARE), ""
    ),
    "mobilevit": Family(
        ("MobileViTConfig", {
            "hidden_sizes": [12, 16, 20], "neck_hidden_sizes": [8, 8, 8, 8, 8, 8, 24],
            "image_size": 32, "num_attention_heads": 2,
        }),
        "MobileViTForImageClassification",
        ("MobileViTImageProcessor", {"size": {"shortest_edge": 36}, "crop_size": _SQUARE["size"]}),
    ),
}  # fmt: skip


@pytest.fixture(params=FAMILIES)
def name(request: pytest.FixtureRequest) -> str:
    """Each family in turn."""
    return str(request.param)


@pytest.fixture
def family(name: str) -> Family:
    """What is saved of it."""
    return FAMILIES[name]


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's model, as `save_pretrained` wrote it."""

    @functools.cache
    def folder(name: str) -> Path:
        family, place = FAMILIES[name], tmp_path_factory.mktemp(name)
        torch.manual_seed(0)
        config = getattr(transformers, family.config[0])(**family.config[1])
        getattr(transformers, family.model)(config).eval().save_pretrained(place)
        kind, arguments = family.processor
        getattr(transformers, kind)(**arguments).save_pretrained(place)
        return place

    return folder
