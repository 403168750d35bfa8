"""transformers' image processors in zoo's terms: preprocessor_config.json → `zoo.Preprocess`."""

from __future__ import annotations

import math
from typing import Any

import zoo

#: Pillow's numbers of its filters
_FILTERS: dict[int, Any] = {
    0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming",
}  # fmt: skip
#: the filter of a processor whose file does not say
_BICUBIC, _BILINEAR = 3, 2
_BYTE = 255.0
#: from here on a ConvNeXt's images are squashed instead of cropped, pixels
_LARGE = 384
_USUALLY_BICUBIC = (
    "Beit",
    "Bit",
    "CLIP",
    "ConvNext",
    "Deit",
    "DeiT",
    "Levit",
    "PoolFormer",
    "Siglip",
)


def preprocess(
    processor: dict[str, Any], config: dict[str, Any]
) -> tuple[zoo.Preprocess, tuple[int, int]]:
    """The recipe, and the input's (height, width), pixels.

    Args:
        processor: as `preprocessor_config.json` has it.
        config: of the model's image part.

    Raises:
        ValueError: it does to images what zoo's recipe cannot.
    """
    kind = str(processor.get("image_processor_type") or processor.get("feature_extractor_type", ""))
    resize, squash = _resize(processor, kind, config)
    size = _box(processor.get("crop_size", resize)) if _crops(processor, kind) else resize
    share = _crop_share(processor, kind)
    if share and min(resize) < _LARGE:
        size, squash = resize, False
        shortest = int(resize[0] / share)  # as ConvNextImageProcessor rounds
        resize = (shortest, shortest)
    elif share:
        squash = True
    mean, std = _normalisation(processor, kind)
    default = _BICUBIC if kind.startswith(_USUALLY_BICUBIC) else _BILINEAR
    number = processor.get("resample", default)
    if number not in _FILTERS:
        message = (
            f"its image processor resizes by the filter {number!r}, which Pillow does not have"
        )
        raise ValueError(message)
    recipe = zoo.Preprocess(
        size=size,
        resize=resize,
        crop="squash" if squash else "center",
        interpolation=_FILTERS[number],
        mean=mean,
        std=std,
    )
    return recipe, size


def flips_channels(processor: dict[str, Any]) -> bool:
    """Whether the model wants blue, green, red."""
    kind = str(processor.get("image_processor_type") or processor.get("feature_extractor_type", ""))
    return bool(processor.get("do_flip_channel_order", kind.startswith("MobileViT")))


def _resize(
    processor: dict[str, Any], kind: str, config: dict[str, Any]
) -> tuple[tuple[int, int], bool]:
    """(height, width) that an image is scaled to or covers, and whether its aspect is given up."""
    if not processor.get("do_resize", True):
        message = "its image processor does not resize, and a batch needs images of one size"
        raise ValueError(message)
    size = processor.get("size", config.get("image_size", 224))
    if isinstance(size, dict) and "shortest_edge" in size:
        edge = int(size["shortest_edge"])
        edge = int(edge * 256 / 224) if kind.startswith("Levit") else edge
        return (edge, edge), False
    if isinstance(size, int):
        # Old files hold one number: the shorter side for those that crop, a square for the others.
        return (size, size), not kind.startswith(("CLIP", "ConvNext", "Levit", "Bit"))
    return _box(size), True


def _box(size: object) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    if isinstance(size, (list, tuple)) and len(size) == 2:  # noqa: PLR2004 - height and width
        return int(size[0]), int(size[1])
    if isinstance(size, dict) and {"height", "width"} <= size.keys():
        return int(size["height"]), int(size["width"])
    if isinstance(size, dict) and "shortest_edge" in size:
        return int(size["shortest_edge"]), int(size["shortest_edge"])
    message = f"its image processor has the size {size!r}, which zoo does not know"
    raise ValueError(message)


def _crops(processor: dict[str, Any], kind: str) -> bool:
    usual = kind.startswith(("CLIP", "DeiT", "Deit", "Levit", "MobileViT", "MobileNet", "Bit"))
    return bool(processor.get("do_center_crop", usual and "crop_size" in processor))


def _crop_share(processor: dict[str, Any], kind: str) -> float:
    """The share of the resized side that a ConvNeXt's crop has; 0 for the other families."""
    share = processor.get("crop_pct")
    if share is None and kind.startswith("ConvNext"):
        share = 224 / 256
    return float(share or 0)


def _normalisation(
    processor: dict[str, Any], kind: str
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of values in 0..1, whatever factor the processor scales by."""
    if not processor.get("do_rescale", True):
        message = "its image processor does not rescale, so it wants values of 0 to 255"
        raise ValueError(message)
    if processor.get("rescale_offset"):
        message = "its image processor shifts what it rescales, which zoo's recipe cannot"
        raise ValueError(message)
    scale = float(processor.get("rescale_factor", 1 / _BYTE)) * _BYTE
    mean, std = [0.0] * 3, [1.0] * 3
    if processor.get("do_normalize", not kind.startswith("MobileViT")):
        mean = _three(processor.get("image_mean", 0.5))
        std = _three(processor.get("image_std", 0.5))
    shifted = [value if math.isclose(scale, 1) else value / scale for value in mean]
    spread = [value if math.isclose(scale, 1) else value / scale for value in std]
    return (shifted[0], shifted[1], shifted[2]), (spread[0], spread[1], spread[2])


def _three(value: Any) -> list[float]:  # noqa: ANN401 - a number or three
    return [float(one) for one in value] if isinstance(value, list) else [float(value)] * 3
