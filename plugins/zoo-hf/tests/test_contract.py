"""The contract, kept by a tiny model of the family that most of the curated names are of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

from zoo.testing import check_plugin

if TYPE_CHECKING:
    from pathlib import Path


def test_the_plugin_keeps_the_contract(tmp_path: Path) -> None:
    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        image_size=32,
        patch_size=8,
    )
    ViTForImageClassification(config).save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    check_plugin("zoo-hf", given={"auto": {"model": str(tmp_path)}})
