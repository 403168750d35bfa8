"""Vision models of the Hugging Face hub as backbones, listed without transformers or torch.

What a model is (its configuration, its image processor, its weights) is written on the hub, so it
is looked up when a run is planned: see `zoo_hf.hub`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import zoo

if TYPE_CHECKING:
    from collections.abc import Iterator

#: name → the model on the hub, its licence, and what it is
CURATED = {
    "beit_base_patch16_224": (
        "microsoft/beit-base-patch16-224", "Apache-2.0", "BEiT base, ImageNet-22k and 1k",
    ),
    "clip_vit_base_patch32": (
        "openai/clip-vit-base-patch32", "MIT", "image tower of CLIP, ViT-B/32",
    ),
    "convnextv2_tiny_22k_224": (
        "facebook/convnextv2-tiny-22k-224", "Apache-2.0", "ConvNeXt V2 tiny, ImageNet-22k and 1k",
    ),
    "deit_base_patch16_224": (
        "facebook/deit-base-patch16-224", "Apache-2.0", "DeiT base, ImageNet-1k",
    ),
    "dinov2_base": ("facebook/dinov2-base", "Apache-2.0", "DINOv2 base, self-supervised"),
    "dinov2_small": ("facebook/dinov2-small", "Apache-2.0", "DINOv2 small, self-supervised"),
    "mobilevit_small": ("apple/mobilevit-small", "Apple", "MobileViT small, ImageNet-1k"),
    "resnet_50": ("microsoft/resnet-50", "Apache-2.0", "ResNet-50 v1.5, ImageNet-1k"),
    "siglip_base_patch16_224": (
        "google/siglip-base-patch16-224", "Apache-2.0", "image tower of SigLIP, ViT-B/16",
    ),
    "swin_tiny_patch4_window7_224": (
        "microsoft/swin-tiny-patch4-window7-224", "Apache-2.0", "Swin tiny, ImageNet-1k",
    ),
    "swinv2_tiny_patch4_window8_256": (
        "microsoft/swinv2-tiny-patch4-window8-256", "Apache-2.0", "Swin V2 tiny, ImageNet-1k",
    ),
    "vit_base_patch16_224": (
        "google/vit-base-patch16-224", "Apache-2.0", "ViT base, ImageNet-21k and 1k",
    ),
    "vit_base_patch16_224_in21k": (
        "google/vit-base-patch16-224-in21k", "Apache-2.0", "ViT base, ImageNet-21k",
    ),
}  # fmt: skip
_LOOKED_UP = "looked up from the model; JSON"


def _backbone(name: str, summary: str) -> zoo.Component:
    return zoo.Component(
        name=name,
        target="zoo_hf.build:build",
        summary=summary,
        options={
            "model": zoo.Option(
                type="str",
                help="ORG/NAME[@REVISION] on the hub, or a folder that save_pretrained wrote",
            ),
            "config": zoo.Option(type="str", help=f"its configuration, {_LOOKED_UP}"),
            "processor": zoo.Option(type="str", help=f"its image processor, {_LOOKED_UP}"),
        },
        provides=("features",),
        specify="zoo_hf.hub:specify",
    )


@zoo.hookimpl
def zoo_backbones() -> Iterator[zoo.Component]:
    """Every model of the hub by `auto`, and well-known ones by names of their own."""
    yield _backbone("auto", "Any vision model of the hub, or of a folder: backbone.model=...")
    for name, (model, _, summary) in CURATED.items():
        yield _backbone(name, f"{summary} ({model})")
