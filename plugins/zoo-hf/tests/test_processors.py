"""Pixels of a photograph beside those of transformers' own image processors, class by class."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import transformers
from PIL import Image
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
from zoo_hf.families import POOLING, PROCESSORS, vision
from zoo_hf.processors import USUAL, flips_channels, preprocess

from zoo.data.preprocess import pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    import zoo

#: how far a value may be off, in steps of an 8-bit channel, on average and at most: transformers
#: resizes by torchvision, zoo by Pillow; on Pillow transformers comes to the same within 1e-4
MEAN, MOST = 0.25, 8
VIT = {"model_type": "vit"}
BIT = {"image_processor_type": "BitImageProcessor"}
CONVNEXT = {"image_processor_type": "ConvNextImageProcessor"}
#: files as they are published: old and new spellings, whole and with hardly a word
FILES: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"{kind}, by its class alone": (kind, {}) for kind in USUAL},
    **{f"{kind}, a number": (kind, {"size": 96, "resample": 3}) for kind in USUAL},
    "ViT, a pair": ("ViT", {"size": [96, 64]}),
    "ViT, one mean": ("ViT", {"image_mean": [0.4], "image_std": [0.3]}),
    "ViT, a number as mean": ("ViT", {"image_mean": 0.4, "image_std": 0.3}),
    "ViT, nulls": ("ViT", {"do_normalize": None, "image_mean": None}),
    "DeiT, nulls": ("DeiT", {"do_center_crop": None, "crop_size": None, "size": 96}),
    "PoolFormer, nulls": ("PoolFormer", {"crop_pct": None, "size": 120, "crop_size": 96}),
    "MobileViT, nulls": ("MobileViT", {"do_flip_channel_order": None}),
    "ViT, another factor": ("ViT", {"rescale_factor": 1 / 127.5}),
    "ViT, plain": ("ViT", {"do_normalize": False}),
    "ViT, other steps": ("ViT", {"crop_pct": 0.5, "do_flip_channel_order": True}),
    "DeiT, cropped": ("DeiT", {"size": 128, "crop_size": 96}),
    "CLIP, squared": ("CLIP", {"size": 96, "default_to_square": True, "crop_size": 96}),
    "CLIP, padded": ("CLIP", {"size": 64, "crop_size": 96}),
    "MobileViT, small": ("MobileViT", {"size": 120, "crop_size": 96, "resample": 2}),
    "MobileViT, unflipped": ("MobileViT", {"do_flip_channel_order": False}),
    "MobileViT, normalised": ("MobileViT", {"do_normalize": True}),
    "MobileNet, small": ("MobileNetV2", {"size": 120, "crop_size": 96}),
    "LeViT, a box": ("Levit", {"size": {"height": 120, "width": 110}, "crop_size": 96}),
    "ConvNeXt, large": ("ConvNext", {"size": {"shortest_edge": 400}}),
    "ConvNeXt, its share": ("ConvNext", {"size": 96, "crop_pct": 0.7}),
    "PoolFormer, its share": ("PoolFormer", {"size": 96, "crop_pct": 0.8, "crop_size": 96}),
    "PoolFormer, a box": (
        "PoolFormer", {"size": {"height": 96, "width": 120}, "crop_size": 96},
    ),
    "PoolFormer, a square": (
        "PoolFormer", {"size": {"height": 96, "width": 96}, "crop_size": 96},
    ),
    "BEiT, cropped": (
        "Beit", {"size": {"shortest_edge": 120}, "do_center_crop": True, "crop_size": 96},
    ),
}  # fmt: skip
del FILES["Siglip, a number"]  # it keeps the aspect, see below
#: how a file names its class
SPELLINGS = (
    {"image_processor_type": "{}ImageProcessor"},
    {"image_processor_type": "{}ImageProcessorFast"},
    {"feature_extractor_type": "{}FeatureExtractor"},
)


@cache
def photograph(turned: str) -> Image.Image:
    """A photograph of 427 rows and 640 columns, or the same on its side."""
    with files("sklearn.datasets.images").joinpath("china.jpg").open("rb") as stream:
        found = Image.open(stream).convert("RGB")
    return found if turned == "landscape" else found.transpose(Image.Transpose.ROTATE_90)


def named(kind: str, spelling: dict[str, str]) -> dict[str, Any]:
    return {name: text.format(kind) for name, text in spelling.items()}


def theirs(kind: str, said: dict[str, Any], picture: Image.Image) -> NDArray[np.float32]:
    """What transformers makes of a picture: `[H, W, 3]`."""
    made = getattr(transformers, f"{kind}ImageProcessor")(**said)
    return np.asarray(made(picture, return_tensors="np")["pixel_values"][0]).transpose(1, 2, 0)


def ours(recipe: zoo.Preprocess, picture: Image.Image, *, flipped: bool) -> NDArray[np.float64]:
    """What zoo makes of it, as the network sees it: `[H, W, 3]`."""
    found = (pixels(picture, recipe) / 255 - np.array(recipe.mean)) / np.array(recipe.std)
    return found[..., ::-1] if flipped else found


def steps(one: NDArray[Any], other: NDArray[Any], std: tuple[float, ...]) -> NDArray[np.float64]:
    """How far apart pictures are, in steps of 8 bits, `other` being at most a pixel further on.

    Where a crop's place is no whole number, transformers takes the one below, zoo the even one.
    """
    apart = [
        np.abs(one[: height - y, : width - x] - other[y:, x:]) * 255 * np.array(std)
        for height, width in [one.shape[:2]]
        for y, x in ((0, 0), (0, 1), (1, 0))
    ]
    return min(apart, key=lambda values: float(values.mean()))


@pytest.mark.parametrize("turned", ["landscape", "portrait"])
@pytest.mark.parametrize("name", FILES)
def test_a_photograph_has_the_pixels_that_transformers_makes(name: str, turned: str) -> None:
    (kind, said), picture = FILES[name], photograph(turned)
    seen = theirs(kind, said, picture)
    for spelling in SPELLINGS:
        told = {**named(kind, spelling), **json.loads(json.dumps(said))}
        recipe, size = preprocess(told, VIT)
        found = ours(recipe, picture, flipped=flips_channels(told, VIT))
        assert found.shape == seen.shape == (*size, 3)
        apart = steps(found, seen, recipe.std)
        assert apart.mean() < MEAN
        assert apart.max() < MOST


@pytest.mark.parametrize("family", [*POOLING, "clip", "siglip"])
def test_a_file_that_names_no_class_is_read_as_its_familys(family: str) -> None:
    config = vision({"model_type": family, "vision_config": {}})
    kind = PROCESSORS[config["model_type"]]
    theirs = IMAGE_PROCESSOR_MAPPING_NAMES.get(family)
    if theirs is not None:  # transformers has none for a single tower
        assert theirs["torchvision"] == f"{kind}ImageProcessor"
    assert preprocess({}, config) == preprocess(named(kind, SPELLINGS[0]), VIT)
    assert flips_channels({}, config) == (kind == "MobileViT")


def test_every_family_has_a_processor_and_every_processor_a_table() -> None:
    assert PROCESSORS.keys() == POOLING.keys()
    assert set(PROCESSORS.values()) == USUAL.keys()


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"image_processor_type": "SamImageProcessor"}, "is 'SamImageProcessor', which zoo cannot"),
        ({"image_processor_type": "Siglip2ImageProcessor"}, "'Siglip2ImageProcessor', which zoo"),
        ({"image_processor_type": "acme"}, "is 'acme', which zoo cannot do"),
        ({"image_processor_type": "SiglipImageProcessor", "size": 96}, "keeps an image's aspect"),
        ({"size": {"shortest_edge": 96}}, "keeps an image's aspect"),
        ({**BIT, "do_center_crop": False}, "aspect"),
        ({"size": {"shortest_edge": 96, "longest_edge": 200}}, "longest_edge"),
        ({"size": {"height": 96}}, "the size {'height': 96}"),
        ({"size": [96]}, r"the size \[96\]"),
        ({"size": "96"}, "the size '96'"),
        ({"size": 0}, "the size 0"),
        ({**BIT, "crop_size": {"shortest_edge": 9}}, "the size"),
        ({"image_mean": [0.5, 0.5]}, r"image_mean \[0.5, 0.5\]: not one or three"),
        ({"image_mean": []}, "not one or three numbers"),
        ({"image_std": ["a"] * 3}, "image_std"),
        ({"image_std": 0.0}, "image_std 0.0"),
        ({"image_mean": None}, "image_mean None"),
        ({"size": None}, "the size None"),
        ({"do_resize": None}, "does not resize"),
        ({"resample": None}, "filter None"),
        ({"rescale_factor": None}, "rescales by None"),
        ({**CONVNEXT, "size": 96, "crop_pct": 0}, "crop_pct 0, which is no share"),
        ({"do_pad": True}, "pads"),
        ({**CONVNEXT, "size": {"height": 9, "width": 9}}, "shortest_edge"),
        ({**CONVNEXT, "do_center_crop": True, "crop_size": 9}, "crops twice, to 384 and to 9"),
    ],
)  # fmt: skip
def test_what_no_recipe_can_do_is_said(told: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        preprocess(told, VIT)
