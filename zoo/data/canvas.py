"""The picture that random crops are taken from, as small as it may be and as true as it can be.

Filters cost as much as decoding a photograph of half a megapixel, and every crop is resized once
more. So a canvas is the picture itself where that has no more than `MOST` times the pixels of a
square of side S; a larger one is averaged over blocks of k x k pixels, for the least k after which
it fits, as long as no fewer pixels are left than the square has; only what neither does for is
squashed to the square with a filter. What it becomes follows from its size alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from zoo.data.decode import Decoded, reduction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

#: goes up with every change of this page that shows
RULE = 1
#: pixels of a canvas, by those of the square: with 5/3, photographs of 500 x 375 are kept as they
#: are for a backbone that sees 224 x 224
MOST = 5 / 3
#: the longer side of a canvas, by the square's: a batch of pictures has room for the longest
_LONGEST = 2
#: how much larger than the square a JPEG stays when it is decoded reduced
_SPARE = 2


def row_bytes(side: int) -> int:
    """What the largest canvas takes, bytes."""
    return 3 * int(MOST * side * side)


def least(side: int) -> int:
    """Pixels that either side of a JPEG keeps when it is decoded for a canvas; 0 for no canvas."""
    return _SPARE * side


def shape(size: tuple[int, int], side: int) -> tuple[int, int]:
    """(height, width) of the canvas of a picture.

    Args:
        size: true (width, height) of the upright picture, pixels.
        side: S.
    """
    by = _reduced_by(size, side)
    width, height = _divided(size, by) if by else (side, side)
    return height, width


def shapes(sizes: Iterable[tuple[int, int]], side: int) -> NDArray[np.int64]:
    """Those of many: int64 `[N, 2]`."""
    return np.array([shape((width, height), side) for width, height in sizes]).reshape(-1, 2)


def filled(size: tuple[int, int], side: int) -> int:
    """How many bytes a picture's canvas takes of its row."""
    height, width = shape(size, side)
    return 3 * height * width


def canvas(decoded: Decoded, side: int) -> NDArray[np.uint8]:
    """A picture's canvas: uint8 `[height, width, 3]`, see `shape`.

    Crops are drawn in relative coordinates from the true aspect, which must be kept beside it.

    Args:
        decoded: whole, or as reduced as `least` has it.
        side: S.
    """
    by = _reduced_by(decoded.size, side)
    if not by:
        return np.asarray(_squashed(decoded.image, side))
    rest = by // decoded.reduced
    return np.asarray(decoded.image.reduce(rest)) if rest > 1 else decoded.levels


def _reduced_by(size: tuple[int, int], side: int) -> int:
    """The k of blocks whose averages make up the canvas; 0 where it is squashed.

    A multiple of what a JPEG of that size is reduced by, for all files to become the same.
    """
    if _fits(size, side):
        return 1
    step = reduction(size, least(side))
    by = step
    while not _fits(_divided(size, by), side):
        by += step
    width, height = _divided(size, by)
    return by if width * height >= side * side else 0


def _divided(size: tuple[int, int], by: int) -> tuple[int, int]:
    width, height = size
    return -(-width // by), -(-height // by)


def _fits(size: tuple[int, int], side: int) -> bool:
    width, height = size
    return 3 * width * height <= row_bytes(side) and max(size) <= _LONGEST * side


def _squashed(image: Image.Image, side: int) -> Image.Image:
    # Of filters that make smaller, Hamming's is as sharp as bicubic and takes two thirds of the
    # time; it cannot make larger.
    smaller = min(image.size) >= side
    resample = Image.Resampling.HAMMING if smaller else Image.Resampling.BICUBIC
    # reducing_gap: a cheap integer reduction first, of what is more than 3 times too large
    return image.resize((side, side), resample, reducing_gap=3.0)
