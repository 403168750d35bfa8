"""JPEGs by libjpeg-turbo directly, where that gives the bytes that Pillow gives.

Pillow decodes by the same library, but into four bytes a pixel, of which whoever wants an array has
three copied: without that, a photograph takes two thirds of the time. Either may have been built
with another library, so they are compared once in each process, on pictures of every kind that is
decoded here; and a file of which its decoder has anything to remark is left to Pillow, which alone
says what is damaged.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Decoder = Callable[[bytes, str], NDArray[np.uint8]]

try:
    from simplejpeg import decode_jpeg
except ImportError:  # no wheel for this processor
    decode_jpeg = None

#: odd, so that blocks and halved colours are cut off at both edges
_TRIED = (37, 45)


def levels(data: bytes, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """The colours of a JPEG, not turned upright: uint8 `[height, width, 3]`; None: ask Pillow.

    Args:
        data: of a file that Pillow has opened, and found to be a JPEG of mode RGB.
        size: (width, height) that Pillow found, pixels.
    """
    decoder = _decoder()
    found = _tried(decoder, data) if decoder else None
    return found if found is not None and found.shape == (size[1], size[0], 3) else None


@cache
def _decoder() -> Decoder | None:
    """What decodes like Pillow; None if it is not there or does not."""
    if decode_jpeg is None:
        return None
    noise = np.random.default_rng(0).integers(0, 256, (*_TRIED, 3), np.uint8)
    coarse = np.asarray(Image.fromarray(noise).resize((7, 5)).resize(_TRIED[::-1]))
    for picture, subsampling, progressive in product(
        (noise, coarse), ("4:4:4", "4:2:2", "4:2:0"), (False, True)
    ):
        stream = BytesIO()
        Image.fromarray(picture).save(
            stream, "JPEG", subsampling=subsampling, progressive=progressive
        )
        found = _tried(decode_jpeg, stream.getvalue())
        if found is None or not np.array_equal(found, np.asarray(Image.open(stream))):
            return None
    return decode_jpeg


def _tried(decoder: Decoder, data: bytes) -> NDArray[np.uint8] | None:
    try:
        return decoder(data, "RGB")
    except Exception:  # noqa: BLE001 - Pillow knows better what is wrong with it, if anything is
        return None
