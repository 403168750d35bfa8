"""What zoo knows of transformers' families of vision models, without importing transformers.

A family is pooled as its own classifier pools it, before the classifier: the class token after
the last norm (`token`), the mean of the patches after it (`mean`), or the model's own pooler
(`pooler`).
"""

from __future__ import annotations

from typing import Any, Literal

Pooling = Literal["token", "mean", "pooler"]
#: model_type → how its features are pooled
POOLING: dict[str, Pooling] = {
    "beit": "pooler",
    "bit": "pooler",
    "clip_vision_model": "pooler",
    "convnext": "pooler",
    "convnextv2": "pooler",
    "cvt": "token",
    "data2vec-vision": "pooler",
    "deit": "token",
    "dinov2": "token",
    "dinov2_with_registers": "token",
    "focalnet": "pooler",
    "hiera": "pooler",
    "ijepa": "mean",
    "levit": "pooler",
    "mobilenet_v1": "pooler",
    "mobilenet_v2": "pooler",
    "mobilevit": "pooler",
    "mobilevitv2": "pooler",
    "poolformer": "mean",
    "pvt_v2": "mean",
    "regnet": "pooler",
    "resnet": "pooler",
    "siglip_vision_model": "pooler",
    "swin": "pooler",
    "swinv2": "pooler",
    "vit": "token",
    "vit_msn": "token",
}
LAYOUTS: dict[str, Literal["conv", "token"]] = dict.fromkeys(
    (
        "bit", "convnext", "convnextv2", "focalnet", "mobilenet_v1", "mobilenet_v2", "mobilevit",
        "mobilevitv2", "poolformer", "regnet", "resnet",
    ),
    "conv",
)  # fmt: skip
#: model_type → the class of its image processor, where a file names none
PROCESSORS: dict[str, str] = {
    **dict.fromkeys(("beit", "data2vec-vision"), "Beit"),
    **dict.fromkeys(("bit", "dinov2", "dinov2_with_registers", "focalnet", "hiera"), "Bit"),
    **dict.fromkeys(("convnext", "convnextv2", "cvt", "regnet", "resnet"), "ConvNext"),
    **dict.fromkeys(("ijepa", "swin", "swinv2", "vit", "vit_msn"), "ViT"),
    **dict.fromkeys(("mobilevit", "mobilevitv2"), "MobileViT"),
    "clip_vision_model": "CLIP",
    "deit": "DeiT",
    "levit": "Levit",
    "mobilenet_v1": "MobileNetV1",
    "mobilenet_v2": "MobileNetV2",
    "poolformer": "PoolFormer",
    "pvt_v2": "Pvt",
    "siglip_vision_model": "Siglip",
}
#: where transformers, too, keeps which commit of the hub a configuration is of
COMMIT = "_commit_hash"
#: families of pairs of towers → the image tower's own
_TOWERS = {"clip": "clip_vision_model", "siglip": "siglip_vision_model"}


def vision(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a model's image part: its own, or that of one tower of two.

    Raises:
        ValueError: it is no family that is known here.
    """
    name = config.get("model_type")
    if name in _TOWERS:
        return {**config.get("vision_config", {}), "model_type": _TOWERS[name]}
    if name not in POOLING:
        known = ", ".join(sorted({*POOLING, *_TOWERS}))
        message = f"its model_type is {name!r}; vision models that fit: {known}"
        raise ValueError(message)
    return config
