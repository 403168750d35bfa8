"""A picture → a backbone's pixels, and beside them the canvas that random crops are taken from.

`pixels` is byte for byte what torchvision's `Resize` + `CenterCrop` and timm's evaluation
transforms make of a PIL image (tests compare them); scaling to 0..1 and normalising happen on the
device, from the same `Preprocess`. A JPEG much larger than what is made of it is decoded at a half,
a quarter or an eighth of its size, in training and in prediction alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from zoo.data.canvas import canvas
from zoo.data.canvas import least as least_for_canvas
from zoo.data.decode import Decoded, decode_scaled, reduction

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from zoo.components import Interpolation, Preprocess

#: a longer picture is first cut to its middle part of this aspect: scaling all of a 1 x 5000 strip
#: until it covers the box would take a gigabyte, to keep a sliver of it
LONGEST = 100
#: how much larger than what is made of it a reduced JPEG stays: with 2, a probe on photographs at
#: 64 pixels loses 0.04 points of accuracy, with 4 / 3 it loses 0.6
_SPARE = 2
#: what decides pixels beside their parameters: goes up with every change of this page that shows
RULE = 3


@dataclass(frozen=True, slots=True)
class Prepared:
    """What one file gave.

    Args:
        size: (width, height) of the upright picture, pixels.
        pixels: uint8 `[H, W, 3]`, or None where not wanted.
        canvas: uint8 `[height, width, 3]` (see `zoo.data.canvas`), or None where not wanted.
        animated: whether the file holds more frames or pages than the first.
    """

    size: tuple[int, int]
    pixels: NDArray[np.uint8] | None
    canvas: NDArray[np.uint8] | None
    animated: bool


def prepare(data: bytes, preprocess: Preprocess | None, canvas_side: int) -> Prepared:
    """Decode a file's bytes and make of them what is wanted (`None` and 0: not wanted).

    A canvas is the same whether or not pixels are wanted too.

    Raises:
        Undecodable: they cannot be decoded.
    """
    spacious = least_for_canvas(canvas_side)
    found = decode_scaled(BytesIO(data), spacious or least(preprocess))
    made = canvas(found, canvas_side) if canvas_side else None
    if preprocess is None:
        return Prepared(found.size, None, made, found.animated)
    if canvas_side and not _alike(found, spacious, least(preprocess)):
        found = decode_scaled(BytesIO(data), least(preprocess))
    return Prepared(found.size, pixels(found.image, preprocess), made, found.animated)


def least(preprocess: Preprocess | None) -> int:
    """Pixels that either side of a JPEG keeps when it is decoded for a backbone; 0 for all."""
    if preprocess is None or preprocess.interpolation == "nearest":  # which takes single pixels
        return 0
    return _SPARE * max(preprocess.resize)


def _alike(found: Decoded, one: int, other: int) -> bool:
    """Whether decoding with this or that to keep gives the same picture."""
    return not found.reducible or reduction(found.size, one) == reduction(found.size, other)


def file_pixels(path: Path, preprocess: Preprocess) -> NDArray[np.uint8]:
    """What a backbone sees of a file: uint8 `[H, W, 3]`.

    Raises:
        Undecodable: it cannot be decoded.
    """
    return pixels(decode_scaled(path, least(preprocess)).image, preprocess)


def pixels(image: Image.Image, preprocess: Preprocess) -> NDArray[np.uint8]:
    """What a backbone sees of an RGB picture: uint8 `[H, W, 3]`."""
    resample = resampling(preprocess.interpolation)
    fill = (0, 0, 0)
    if preprocess.crop == "squash":
        size = _wh(preprocess.resize)
    elif preprocess.crop == "border":
        size = _inside(image.size, _wh(preprocess.resize))
        fill = tuple(round(255 * value) for value in preprocess.mean)
    else:
        image = _middle(image)
        size = _covering(image.size, _wh(preprocess.resize))
    scaled = image if image.size == size else image.resize(size, resample)
    return np.asarray(_center(scaled, _wh(preprocess.size), fill))


def resampling(interpolation: Interpolation) -> Image.Resampling:
    """Pillow's filter of that name."""
    return Image.Resampling[interpolation.upper()]


def _wh(height_width: tuple[int, int]) -> tuple[int, int]:
    height, width = height_width
    return width, height


def _middle(image: Image.Image) -> Image.Image:
    """The picture, cut to its middle part if it is longer than `LONGEST`."""
    width, height = image.size
    wide, high = min(width, LONGEST * height), min(height, LONGEST * width)
    left, top = (width - wide) // 2, (height - high) // 2
    return image.crop((left, top, left + wide, top + high))


def _covering(size: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    """The least size of the same aspect that covers the box.

    For a square box this is torchvision's `Resize(int)`, which truncates; for another one timm's
    `ResizeKeepRatio`, which rounds.
    """
    width, height = size
    if box[0] == box[1]:
        if width <= height:
            return box[0], int(box[0] * height / width)
        return int(box[0] * width / height), box[0]
    ratio = min(height / box[1], width / box[0])
    return max(1, round(width / ratio)), max(1, round(height / ratio))


def _inside(size: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    """The greatest size of the same aspect that fits into the box (timm's `longest=1`)."""
    width, height = size
    ratio = max(height / box[1], width / box[0])
    return max(1, round(width / ratio)), max(1, round(height / ratio))


def _center(image: Image.Image, size: tuple[int, int], fill: tuple[int, ...]) -> Image.Image:
    """The middle (width, height) of an image; what is too small is padded with `fill` first."""
    width, height = max(image.width, size[0]), max(image.height, size[1])
    if (width, height) != image.size:
        padded = Image.new("RGB", (width, height), fill)
        padded.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
        image = padded
    # Python's round, halves to even, is part of the definition
    left, top = round((width - size[0]) / 2), round((height - size[1]) / 2)
    return image.crop((left, top, left + size[0], top + size[1]))
