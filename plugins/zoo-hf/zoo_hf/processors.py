"""transformers' image processors in zoo's terms: preprocessor_config.json → `zoo.Preprocess`.

A file may say as little as the class of its processor, or less: what it leaves out is what the
class has for usual, and the class that of the model's family.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

import zoo
from zoo_hf.families import PROCESSORS

Json = dict[str, Any]
#: Pillow's numbers of its filters
_FILTERS: dict[int, Any] = {
    0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming",
}  # fmt: skip
_BILINEAR, _BICUBIC = 2, 3
_HALF = {"image_mean": 0.5, "image_std": 0.5}
_IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
_CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
#: a number as size means the shorter side, and a crop follows
_SHORTEST = {"default_to_square": False, "do_center_crop": True, "crop_size": 224}
#: what every class does unless its file says otherwise
_ALL = {
    "size": 224, "default_to_square": True, "resample": _BICUBIC, "do_resize": True,
    "do_center_crop": False, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
}  # fmt: skip
#: class, without `ImageProcessor` → what it does otherwise
USUAL: dict[str, Json] = {
    "Beit": {**_HALF, "crop_size": 224},
    "Bit": {**_CLIP, **_SHORTEST},
    "CLIP": {**_CLIP, **_SHORTEST},
    "ConvNext": {**_HALF, "size": 384, "default_to_square": False, "crop_pct": 224 / 256},
    "DeiT": {**_HALF, "size": 256, "do_center_crop": True, "crop_size": 224},
    "Levit": {**_IMAGENET, **_SHORTEST},
    "MobileNetV1": {**_HALF, **_SHORTEST, "size": 256, "resample": _BILINEAR},
    "MobileNetV2": {**_HALF, **_SHORTEST, "size": 256, "resample": _BILINEAR},
    "MobileViT": {**_SHORTEST, "crop_size": 256},
    "PoolFormer": {**_IMAGENET, **_SHORTEST, "crop_pct": 0.9},
    "Pvt": _IMAGENET,
    "Siglip": {**_HALF, "size": [224, 224], "default_to_square": False},
    "ViT": {**_HALF, "resample": _BILINEAR},
}
_CLASS = re.compile(r"(.*?)(?:ImageProcessor|FeatureExtractor)(?:Fast|Pil)?")
#: from here on a ConvNeXt's images are squashed instead of cropped, pixels
_LARGE = 384
#: LeViT scales the shorter side to this multiple of what its file says
_LEVIT = 256 / 224


class _Resized(NamedTuple):
    """What an image is scaled to: (height, width), or its shorter side alone, pixels."""

    box: tuple[int, int]
    shortest: bool


def preprocess(processor: Json, config: Json) -> tuple[zoo.Preprocess, tuple[int, int]]:
    """The recipe, and the input's (height, width), pixels.

    Args:
        processor: as `preprocessor_config.json` has it.
        config: of the model's image part.

    Raises:
        ValueError: it does to images what zoo's recipe cannot.
    """
    kind = _kind(processor, config)
    told = _told(processor, kind)
    _refuse_others(told)
    resized = _resized(told, kind)
    size = _cropped(told, kind, resized)
    mean, std = _normalisation(told, kind)
    recipe = zoo.Preprocess(
        size=size,
        resize=resized.box,
        crop="center" if resized.shortest else "squash",
        interpolation=_FILTERS[told["resample"]],
        mean=mean,
        std=std,
    )
    return recipe, size


def flips_channels(processor: Json, config: Json) -> bool:
    """Whether the model wants blue, green, red, as MobileViT's alone do; arguments as above."""
    flips = bool(processor.get("do_flip_channel_order", True))
    return flips and _kind(processor, config) == "MobileViT"


def _kind(processor: Json, config: Json) -> str:
    """The class of the processor; the family's where the file names none.

    Raises:
        ValueError: it is none that is known here.
    """
    named = processor.get("image_processor_type") or processor.get("feature_extractor_type")
    if not named:
        return PROCESSORS[config["model_type"]]
    found = _CLASS.fullmatch(str(named))
    kind = found[1] if found else ""
    if kind not in USUAL:
        known = ", ".join(f"{one}ImageProcessor" for one in USUAL)
        message = f"its image processor is {named!r}, which zoo cannot do; it can: {known}"
        raise ValueError(message)
    return kind


def _told(processor: Json, kind: str) -> Json:
    """What the file says, over what its class does; to transformers a null says none or no."""
    return {**_ALL, **USUAL[kind], **processor}


def _refuse_others(told: Json) -> None:
    """Refuse what the recipe has no words for."""
    wrong = {
        "does not resize, and a batch needs images of one size": not told["do_resize"],
        "does not rescale, so it wants values of 0 to 255": not told["do_rescale"],
        "shifts what it rescales, which zoo's recipe cannot": told.get("rescale_offset"),
        "pads what it has made, which zoo's recipe cannot": told.get("do_pad"),
        f"rescales by {told['rescale_factor']!r}, not a number": (
            not isinstance(told["rescale_factor"], (int, float)) or not told["rescale_factor"] > 0
        ),
        f"resizes by the filter {told['resample']!r}, which Pillow does not have": (
            told["resample"] not in _FILTERS
        ),
    }
    for what, is_so in wrong.items():
        if is_so:
            message = f"its image processor {what}"
            raise ValueError(message)


def _resized(told: Json, kind: str) -> _Resized:
    resized = _size(told["size"], square=bool(told["default_to_square"]))
    height, width = resized.box
    share = told.get("crop_pct")
    if kind == "Levit" and resized.shortest:
        return _shortest(int(_LEVIT * height))
    if kind == "ConvNext":
        if not resized.shortest:
            message = f"its image processor has the size {told['size']!r}, not a shortest_edge"
            raise ValueError(message)
        # transformers rounds down, here and below.
        large = height >= _LARGE
        return _squashed(height, width) if large else _shortest(int(height / _share(share)))
    if kind == "PoolFormer" and share is not None:
        sides = [int(side / _share(share)) for side in resized.box]
        return _shortest(sides[0]) if height == width else _squashed(*sides)
    return resized


def _share(share: object) -> float:
    """Of the scaled image's side that is kept, above 0.

    Raises:
        ValueError: it is no such number.
    """
    if isinstance(share, (int, float)) and share > 0:
        return float(share)
    message = f"its image processor has the crop_pct {share!r}, which is no share"
    raise ValueError(message)


def _cropped(told: Json, kind: str, resized: _Resized) -> tuple[int, int]:
    """(height, width) of what is left in the end, pixels."""
    edge = _size(told["size"], square=True).box
    crops = told["do_center_crop"]
    crop = _box(told.get("crop_size", edge)) if crops else resized.box
    if kind == "ConvNext":
        if crops and crop != edge:
            message = f"its image processor crops twice, to {edge[0]} and to {crop[0]} pixels"
            raise ValueError(message)
        return edge
    if resized.shortest and not crops:
        message = (
            "its image processor keeps an image's aspect and does not crop, and a batch needs "
            "images of one size"
        )
        raise ValueError(message)
    return crop


def _shortest(edge: int) -> _Resized:
    return _Resized((edge, edge), shortest=True)


def _squashed(height: int, width: int) -> _Resized:
    return _Resized((height, width), shortest=False)


def _size(size: object, *, square: bool) -> _Resized:
    """A size in any of transformers' spellings; a number alone is a square, or the shorter side."""
    edge: Any = None if square else size
    if isinstance(size, dict) and _without_nulls(size).keys() == {"shortest_edge"}:
        edge = size["shortest_edge"]
    return _shortest(edge) if _is_side(edge) else _squashed(*_box(size))


def _box(size: object) -> tuple[int, int]:
    """(height, width) of a number, a pair or a table of both.

    Raises:
        ValueError: it is none of these.
    """
    sides: list[Any] = [size, size]
    if isinstance(size, (list, tuple)):
        sides = [*size]
    elif isinstance(size, dict):
        given = _without_nulls(size)
        sides = [given.pop("height", None), given.pop("width", None), *given]
    if len(sides) == 2 and all(map(_is_side, sides)):  # noqa: PLR2004 - height and width
        return sides[0], sides[1]
    message = f"its image processor has the size {size!r}, which zoo does not know"
    raise ValueError(message)


def _without_nulls(size: Json) -> Json:
    return {name: value for name, value in size.items() if value is not None}


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _normalisation(
    told: Json, kind: str
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of values in 0..1, whatever factor the processor scales by."""
    scale = float(told["rescale_factor"]) * 255
    scale = 1.0 if math.isclose(scale, 1) else scale
    mean, std = [0.0] * 3, [1.0] * 3
    if told["do_normalize"] and kind != "MobileViT":  # whose class has no such step
        mean, std = _three(told, "image_mean"), _three(told, "image_std")
    shifted, spread = [value / scale for value in mean], [value / scale for value in std]
    return (shifted[0], shifted[1], shifted[2]), (spread[0], spread[1], spread[2])


def _three(told: Json, name: str) -> list[float]:
    """A number for each channel; one alone is that of all.

    Raises:
        ValueError: it is neither one nor three numbers, or not positive as a deviation.
    """
    values = told[name] if isinstance(told[name], list) else [told[name]]
    numbers = [one for one in values if isinstance(one, (int, float)) and math.isfinite(one)]
    fits = len(values) == len(numbers) and len(values) in (1, 3)
    if not fits or (name == "image_std" and min(numbers) <= 0):
        message = f"its image processor has the {name} {told[name]!r}: not one or three numbers"
        raise ValueError(message)
    return [float(one) for one in values] * (3 // len(values))
