from __future__ import annotations

import io
import os
import struct
import threading
import warnings
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from zoo.data.decode import MAX_BYTES, Undecodable, decode, decode_scaled, upright_rgb

if TYPE_CHECKING:
    from pathlib import Path

WHITE = [255, 255, 255]
#: how an upright picture is turned for its orientation to turn it back (EXIF 2.32, table 6)
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> io.BytesIO:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    stream.seek(0)
    return stream


def picture(width: int = 48, height: int = 32) -> Image.Image:
    """No symmetry, smooth enough for JPEG."""
    y, x = np.mgrid[:height, :width]
    channels = [x * 255 / width, y * 255 / height, (x + 2 * y) % 256]
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8))


def pixel(image: Image.Image) -> list[int]:
    return np.asarray(image)[0, 0].tolist()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_every_orientation_gives_the_same_upright_picture(kind: str, orientation: int) -> None:
    upright = picture()
    stored = upright.transpose(STORED[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    found = decode_scaled(saved(stored, kind, exif=exif, **options), 0)
    assert found.size == found.image.size == upright.size
    assert np.array_equal(np.asarray(found.image), np.asarray(upright))
    assert np.array_equal(np.asarray(upright_rgb(found.image)), np.asarray(upright))


def test_a_broken_orientation_counts_as_none() -> None:
    stream = saved(picture(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff")
    assert decode(stream).size == (48, 32)


@pytest.mark.parametrize("mode", ["L", "1", "RGB", "CMYK", "YCbCr", "HSV"])
def test_plain_modes_are_converted_as_pillow_does(mode: str) -> None:
    image = picture().convert(mode)
    assert np.array_equal(np.asarray(upright_rgb(image)), np.asarray(image.convert("RGB")))


def test_cmyk_jpegs_come_out_in_their_colours() -> None:
    red = Image.new("RGB", (16, 16), (200, 30, 40)).convert("CMYK")
    assert np.allclose(pixel(decode(saved(red, "JPEG"))), (200, 30, 40), atol=8)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGBA", (2, 2), (255, 0, 0, 0)), WHITE),
        (Image.new("RGBA", (2, 2), (255, 0, 0, 255)), [255, 0, 0]),
        (Image.new("RGBA", (2, 2), (0, 0, 0, 127)), [128, 128, 128]),
        (Image.new("LA", (2, 2), (0, 0)), WHITE),
        (Image.new("LA", (2, 2), (9, 255)), [9, 9, 9]),
        (Image.new("PA", (2, 2), (0, 0)), WHITE),
    ],
    ids=["clear", "opaque", "half", "LA clear", "LA opaque", "PA clear"],
)
def test_alpha_is_composited_onto_white(image: Image.Image, expected: list[int]) -> None:
    assert pixel(upright_rgb(image)) == expected


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "1"])
def test_a_transparent_colour_becomes_white(mode: str) -> None:
    image = Image.new(mode, (2, 2), 0)
    transparency = (0, 0, 0) if mode == "RGB" else 0
    assert pixel(decode(saved(image, transparency=transparency))) == WHITE
    assert pixel(decode(saved(image))) == [0, 0, 0]


def test_a_palette_with_alpha_bytes_does_not_warn() -> None:
    image = picture().quantize(4)
    stream = saved(image, transparency=bytes([0, 255, 255, 255]))
    assert decode(stream).mode == "RGB"


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_never_clipped(kind: str) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    found = np.asarray(decode(saved(Image.fromarray(values), kind)))
    assert found[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]
    assert (found == found[..., :1]).all()


def test_wide_integers_count_as_sixteen_bits_or_are_refused() -> None:
    inside = Image.fromarray(np.array([[0, 65535]], np.int32))
    assert np.asarray(decode(saved(inside, "TIFF")))[0, :, 0].tolist() == [0, 255]
    with pytest.raises(Undecodable, match=r"0\.\.65535"):
        upright_rgb(Image.fromarray(np.array([[0, 70000]], np.int32)))


@pytest.mark.parametrize("wrong", [-0.1, 1.5, np.nan, np.inf])
def test_floats_are_shares_or_are_refused(wrong: float) -> None:
    inside = Image.fromarray(np.array([[0, 0.5, 1]], np.float32))
    assert np.asarray(decode(saved(inside, "TIFF")))[0, :, 0].tolist() == [0, 128, 255]
    with pytest.raises(Undecodable, match=r"0\.\.1"):
        upright_rgb(Image.fromarray(np.array([[0.5, wrong]], np.float32)))


def test_lab_is_converted() -> None:
    assert max(pixel(upright_rgb(Image.new("LAB", (2, 2), (0, 128, 128))))) < 3


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_counts(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    stream = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    found = decode_scaled(stream, 0)
    assert pixel(found.image) == [255, 0, 0]
    assert found.animated
    assert not decode_scaled(saved(frames[0], kind, **options), 0).animated


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs pointer"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (os.urandom(999), "no picture in a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture in a known format"),
        (b"8BPS\0\1" + bytes(99), "no picture in a known format"),
    ],
    ids=["empty", "lfs", "html", "noise", "eps", "psd"],
)
def test_what_is_no_picture_is_called_by_its_name(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(Undecodable, match=reason) as caught:
        decode(path)
    assert str(path) in caught.value.message
    assert str(path) not in caught.value.reason


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_file_cut_short_is_refused(tmp_path: Path, kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    whole = saved(Image.fromarray(noise), kind).getvalue()
    path = tmp_path / "x"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(Undecodable):
        decode(path)


def _png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("side", [9_500, 11_000, 60_000])
def test_a_bomb_is_refused_before_it_is_loaded(side: int) -> None:
    with pytest.raises(Undecodable, match="89,478,485"):
        decode(io.BytesIO(_png_of(side, side)))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Undecodable, match="no such file"):
        decode(tmp_path / "none.jpg")
    with pytest.raises(Undecodable, match="not a regular file"):
        decode(tmp_path)


def test_a_file_of_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    path.touch()
    os.truncate(path, MAX_BYTES + 1)  # takes no room
    with pytest.raises(Undecodable, match="1,073,741,825 bytes"):
        decode(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(Undecodable, match="not a regular file"):
        decode(tmp_path / "pipe.jpg")


def test_a_large_jpeg_may_come_reduced_with_its_true_size() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = saved(picture(1000, 600), "JPEG", exif=exif)
    found = decode_scaled(stream, 128)
    assert found.size == (600, 1000)
    assert found.image.size == (150, 250)


def test_an_opened_picture_is_not_changed() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    opened = Image.open(saved(picture(), "JPEG", exif=exif))
    assert upright_rgb(opened).size == (32, 48)
    assert opened.size == (48, 32)
    assert opened.info


def test_threads_leave_the_warning_filters_as_they_were() -> None:
    before = list(warnings.filters)
    stream = saved(picture().quantize(4), transparency=bytes([0, 255])).getvalue()
    threads = [
        threading.Thread(target=lambda: [decode(io.BytesIO(stream)) for _ in range(20)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
