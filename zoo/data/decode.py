"""One file → one upright RGB picture, by the same rule in training, validation and prediction.

===========================  ====================================================================
what the file holds          what becomes of it
===========================  ====================================================================
EXIF or XMP orientation      turned upright; an unreadable orientation counts as none
animation, several pages     the first frame
L, 1, YCbCr, CMYK, HSV, LAB  converted by Pillow (which knows Adobe's inverted CMYK)
palette                      its colours
alpha, transparent colour    composited onto white
16 bits a channel, grey      0..65535 → 0..255, rounded; never clipped
16 bits a channel, colour    the upper 8 bits
32-bit integers (I)          like 16 bits; refused if a value lies outside 0..65535
floats (F)                   0..1 → 0..255, rounded; refused if a value lies outside or is no number
colour profile               passed over, as the published backbones' own pipelines do
===========================  ====================================================================

Files are judged by their content, never by their suffix, and only the formats of `FORMATS` are
tried: no file can start Ghostscript or a rarely used parser. A file cut short is refused, never
completed with grey.
"""

from __future__ import annotations

import os
import stat
import threading
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from zoo.data.jpeg import levels
from zoo.errors import BadData

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

#: what is tried, by Pillow's names (JPEG brings MPO, the two-lens JPEG, with it)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "AVIF", "JPEG2000")
#: the suffixes that these formats go by; a folder's other files are not taken for images
SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp"),
        *(".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".avif", ".jp2", ".j2k"),
    )
)
#: more pixels than this are taken for a decompression bomb (Pillow's own figure, as an error)
MAX_PIXELS = 89_478_485
#: a larger file is not read: so many pixels take less even when nothing is compressed
MAX_BYTES = 1 << 30

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
#: orientations that swap width and height
_SIDEWAYS = 5


class Undecodable(BadData):
    """A file that is no picture, or a damaged or unsupported one.

    Attributes:
        reason: what is wrong with it, without the file's name.
    """

    def __init__(self, reason: str, name: str = "") -> None:
        """The message names the file where it has a name."""
        super().__init__(f"{name}: {reason}" if name else reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture, and what is known of the file that it came from.

    Args:
        picture: RGB, upright, without info; or its levels, uint8 `[height, width, 3]`.
        size: true (width, height) of the upright picture, pixels.
        animated: whether there are more frames or pages than this one.
        reducible: whether the file can be decoded reduced, which JPEG alone can.
        reduced: by how much the picture is, by its sides.
    """

    picture: Image.Image | NDArray[np.uint8]
    size: tuple[int, int]
    animated: bool
    reducible: bool
    reduced: int = 1

    @property
    def image(self) -> Image.Image:
        """The picture."""
        picture = self.picture
        return Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture

    @property
    def levels(self) -> NDArray[np.uint8]:
        """Its levels, uint8 `[height, width, 3]`."""
        return np.asarray(self.picture)


def read(path: Path) -> bytes:
    """The bytes of a regular file; opening a pipe or a device could wait for ever.

    Raises:
        Undecodable: it is something else, is too large, or cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Undecodable("not a regular file", str(path))
        # what is there may be another thing by now
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(path, flags), "rb") as stream:  # noqa: PTH123 - a descriptor, not a path
            status = os.fstat(stream.fileno())
            if status.st_size > MAX_BYTES or not stat.S_ISREG(status.st_mode):
                raise Undecodable(
                    f"{status.st_size:,} bytes; the limit is {MAX_BYTES:,}", str(path)
                )
            return stream.read()
    except OSError as error:
        raise Undecodable(_describe(error), str(path)) from error


def decode(source: Path | BinaryIO) -> Image.Image:
    """The picture in a file, RGB, upright, first frame.

    Raises:
        Undecodable: it cannot be decoded; nothing else is raised, and nothing warns.
    """
    return decode_scaled(source, 0).image


def decode_scaled(source: Path | BinaryIO, least: int) -> Decoded:
    """Like `decode`, with what is known of the file.

    With `least` > 0 a JPEG much larger than that comes reduced by `reduction`, which takes a
    fraction of the time.

    Raises:
        Undecodable: as for `decode`.
    """
    name = str(source) if isinstance(source, Path) else ""
    stream = BytesIO(read(source)) if isinstance(source, Path) else source
    try:
        with _QUIET:
            return _decode(stream, least)
    except Undecodable as error:
        raise Undecodable(error.reason, name) from error.__cause__
    except UnidentifiedImageError as error:
        raise Undecodable(_recognise(stream), name) from error
    except Exception as error:  # a decoder of untrusted bytes raises whatever it likes
        raise Undecodable(_describe(error), name) from error


def reduction(size: tuple[int, int], least: int) -> int:
    """By how much a JPEG is reduced while it is decoded: 8, 4 or 2, or 1 for not at all.

    Args:
        size: of the picture, pixels.
        least: pixels that either side keeps, roundings aside; 0 for all of them.
    """
    return next((by for by in (8, 4, 2) if least and min(size) >= by * least), 1)


def upright_rgb(image: Image.Image) -> Image.Image:
    """An opened picture as `decode` would give it: loaded, upright, RGB; a new image without info.

    Raises:
        Undecodable: it cannot be loaded or has an unsupported mode.
    """
    try:
        with _QUIET:
            return _upright_rgb(image, keep=True)[0]
    except Undecodable:
        raise
    except Exception as error:  # as in decode_scaled
        raise Undecodable(_describe(error)) from error


def _decode(source: BinaryIO, least: int) -> Decoded:
    with Image.open(source, formats=FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise Undecodable(f"{width} x {height} pixels; the limit is {MAX_PIXELS:,} in all")
        reducible = isinstance(image, JpegImageFile)
        by = reduction(image.size, least) if reducible else 1
        if reducible:
            image.decodermaxblock = MAX_BYTES  # or it is read, and copied, in pieces of 64 kB
        if by > 1:
            image.draft(None, (width // by, height // by))
        elif reducible and image.mode == "RGB" and _orientation(image) not in _UPRIGHT:
            source.seek(0)
            found = levels(source.read(), image.size)
            if found is not None:
                return Decoded(found, image.size, _is_animated(image), reducible)
        # others look for a second frame in the place of the first
        upright, sideways = _upright_rgb(image, keep=not reducible)
        size = (height, width) if sideways else (width, height)
        by = by if upright.size != size else 1  # no draft is a promise
        return Decoded(upright, size, _is_animated(image), reducible, by)


def _upright_rgb(image: Image.Image, *, keep: bool) -> tuple[Image.Image, bool]:
    """The picture, and whether its width was its height in the file.

    Args:
        image: opened.
        keep: whether it must stay as it is, and what is made of it be another.
    """
    before = image.size
    image.load()
    turned = image.size != before  # a TIFF is turned upright by loading it
    orientation = _orientation(image)
    rgb = _rgb(image)
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
    if rgb is image and keep:
        rgb = image.copy()
    rgb.info = {}  # or the orientation would be obeyed a second time
    return rgb, turned != (orientation >= _SIDEWAYS)


def _orientation(image: Image.Image) -> int:
    try:
        orientation = int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - EXIF is untrusted bytes as well, and the picture is fine
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _is_animated(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # noqa: BLE001 - what follows the first frame may be damaged
        return True


def _rgb(image: Image.Image) -> Image.Image:
    """The module's table."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        return _grey(np.asarray(image).astype(np.float64) / 65535)
    if image.mode == "I":
        return _grey(_within(np.asarray(image) / 65535, "integers outside of 0..65535"))
    if image.mode == "F":
        return _grey(_within(np.asarray(image), "floats outside of 0..1"))
    if not image.has_transparency_data:
        return image.convert("RGB")
    flat = image.convert("LA") if image.mode == "La" else image
    picture = flat.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _within(values: np.ndarray, complaint: str) -> np.ndarray:
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise Undecodable(f"{complaint}, whose brightness nobody can know")
    return values


def _grey(values: np.ndarray) -> Image.Image:
    """Values in 0..1 `[H, W]` as RGB."""
    return Image.fromarray(np.floor(values * 255 + 0.5).astype(np.uint8)).convert("RGB")


_WORDS: dict[type[Exception], str] = {
    FileNotFoundError: "there is no such file (or a link that leads nowhere)",
    PermissionError: "no permission to read it",
    UnidentifiedImageError: f"no picture in a known format ({', '.join(FORMATS)})",
    MemoryError: "decoding it takes too much memory",
    Image.DecompressionBombError: f"too many pixels; the limit is {MAX_PIXELS:,}",
}


def _describe(error: Exception) -> str:
    """An exception as the end of the sentence "this file is ..."."""
    for kind, words in _WORDS.items():
        if isinstance(error, kind):
            return words
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip() or type(error).__name__


def _recognise(stream: BinaryIO) -> str:
    """What a file that no decoder knows looks like."""
    stream.seek(0)
    head = stream.read(256).lstrip().lower()
    if not head:
        return "an empty file"
    if head.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer, not the picture itself (git lfs pull brings it)"
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page, not a picture"
    return _describe(UnidentifiedImageError())


class _Quiet:
    """Silences Pillow's warnings while any thread decodes: warning filters are the process's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._saved = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._saved.__exit__(kind, error, trace)


_QUIET = _Quiet()
