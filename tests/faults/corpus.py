"""Damaged, odd and hostile image files, more than a thousand, the same ones on every machine.

Each function gives (name, bytes). Names say what is the matter, so that a failing test names it.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Files = Iterator[tuple[str, bytes]]

FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "tif": "TIFF"}
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I;16", "I", "F")
#: EXIF's tag of how a picture must be turned
ORIENTATION = 0x0112


def write(folder: Path) -> list[Path]:
    """All of the corpus as files in `folder`; their paths, sorted."""
    folder.mkdir(parents=True)
    for name, data in everything().items():
        (folder / name).write_bytes(data)
    return sorted(folder.iterdir())


@cache
def everything() -> dict[str, bytes]:
    """Every file of the corpus, by its name."""
    kinds = (
        *(intact, truncated, flipped, misnamed, modes, orientations, animations, shapes),
        *(bombs, stuffed, strangers),
    )
    found: dict[str, bytes] = {}
    for kind in kinds:
        for name, data in kind():
            assert name not in found, name
            found[name] = data
    return found


def named(*beginnings: str) -> dict[str, bytes]:
    """The files whose names begin so."""
    return {name: data for name, data in everything().items() if name.startswith(beginnings)}


def picture(width: int = 48, height: int = 32, seed: int = 0) -> Image.Image:
    """Some structure, some noise, no symmetry."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([x * 255 / width, y * 255 / height, (3 * x + 2 * y) % 256], -1)
    noise = np.random.default_rng(seed).integers(-20, 20, (height, width, 3))
    return Image.fromarray((waves + noise).clip(0, 255).astype(np.uint8))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The file that Pillow makes of it."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *between: bytes, pixels: bytes = b"", colour: int = 0) -> bytes:
    """A PNG file of 8 bits a channel that claims this size, with chunks between head and pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(pixels, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(between) + body


def intact() -> Files:
    """Nothing is the matter with these."""
    for suffix, kind in FORMATS.items():
        yield f"intact.{suffix}", saved(picture(), kind)
    yield "intact-progressive.jpg", saved(picture(), "JPEG", progressive=True)
    yield "intact-lossless.webp", saved(picture(), "WEBP", lossless=True)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield f"intact-{compression}.tif", saved(picture(), "TIFF", compression=compression)


def truncated() -> Files:
    """Cut at every 5 % of two pictures in every format."""
    for suffix, kind in FORMATS.items():
        for seed in range(2):
            whole = saved(picture(seed=seed), kind)
            for percent in range(0, 100, 5):
                cut = whole[: len(whole) * percent // 100]
                yield f"cut-{seed}-{percent:02}.{suffix}", cut


def flipped(each: int = 90) -> Files:
    """One to eight bits changed; half of the files near their beginning, where headers are."""
    for suffix, kind in FORMATS.items():
        whole = saved(picture(), kind)
        for seed in range(each):
            draw = random.Random(f"{suffix}-{seed}")  # noqa: S311 - a draw to repeat, not a secret
            data = bytearray(whole)
            reach = len(data) if seed % 2 else min(128, len(data))
            for _ in range(1 + seed % 8):
                data[draw.randrange(reach)] ^= 1 << draw.randrange(8)
            yield f"flip-{seed:02}.{suffix}", bytes(data)


def misnamed() -> Files:
    """Every format under the suffix of every other."""
    for suffix, kind in FORMATS.items():
        whole = saved(picture(), kind)
        for other in FORMATS:
            if other != suffix:
                yield f"really-{suffix}.{other}", whole


def modes() -> Files:
    """Every mode in every format that can hold it."""
    for mode in MODES:
        for suffix, kind in FORMATS.items():
            try:
                yield f"mode-{mode.replace(';', '')}.{suffix}", saved(of_mode(mode), kind)
            except (OSError, KeyError, ValueError):
                continue  # this format has no such mode
    clear = picture().quantize(8)
    yield "mode-P-transparency.png", saved(clear, "PNG", transparency=0)
    yield "mode-P-alphas.png", saved(clear, "PNG", transparency=bytes(range(0, 256, 32)))
    yield "mode-RGB-transparency.png", saved(picture(), "PNG", transparency=(0, 0, 0))


def of_mode(mode: str) -> Image.Image:
    """The picture in one of Pillow's modes."""
    grey = np.asarray(picture().convert("L"))
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257)
    if mode == "I":
        return Image.fromarray(grey.astype(np.int32) * 257)
    if mode == "F":
        return Image.fromarray(grey.astype(np.float32) / 255)
    if mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB")
        found = ImageCms.applyTransform(picture(), to_lab)
        assert found is not None  # it is, where the picture is changed in place
        return found
    if mode in {"RGBA", "LA", "PA"}:
        clear = picture()
        clear.putalpha(Image.linear_gradient("L").resize(clear.size))
        return (
            clear.convert("RGBA").quantize(8).convert("PA") if mode == "PA" else clear.convert(mode)
        )
    return picture().convert(mode)


def orientations() -> Files:
    """All that EXIF knows, and some that it does not, in every format that keeps EXIF."""
    for suffix in ("jpg", "png", "webp", "tif"):
        for orientation in (*range(11), 255, 65535):
            exif = Image.Exif()
            exif[ORIENTATION] = orientation
            yield f"turned-{orientation:05}.{suffix}", saved(picture(), FORMATS[suffix], exif=exif)
    for length in range(0, 64, 8):
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        yield f"turned-cut-{length:02}.jpg", saved(picture(), "JPEG", exif=exif.tobytes()[:length])


def animations() -> Files:
    """Several frames or pages, whole and cut within the second one."""
    frames = [picture(seed=seed) for seed in range(3)]
    for suffix, kind in (*FORMATS.items(), ("mpo", "MPO")):
        if kind in {"GIF", "PNG", "WEBP", "TIFF", "MPO"}:
            whole = saved(frames[0], kind, save_all=True, append_images=frames[1:])
            yield f"frames.{suffix}", whole
            for percent in (40, 60, 90):
                yield f"frames-cut-{percent}.{suffix}", whole[: len(whole) * percent // 100]


def shapes() -> Files:
    """Sizes that scaling and cropping may fail on."""
    for width, height in ((1, 1), (1, 5000), (5000, 1), (2, 3), (1, 2), (65_000, 2)):
        image = Image.new("RGB", (width, height), "teal")
        for suffix, kind in FORMATS.items():
            # WebP has a largest side
            if kind != "WEBP" or max(width, height) < 16_384:
                yield f"shape-{width}x{height}.{suffix}", saved(image, kind)


def bombs() -> Files:
    """Small files that claim to be huge."""
    for side in (9_500, 20_000, 60_000, 2**31 - 1):
        yield f"bomb-{side}.png", png(side, side)
    yield "bomb-filled.png", png(30_000, 30_000, pixels=bytes(30_001 * 3_000))
    gif = bytearray(saved(picture(), "GIF"))
    gif[6:10] = struct.pack("<HH", 65_535, 65_535)
    yield "bomb-screen.gif", bytes(gif)
    frame = bytearray(saved(picture(), "GIF"))
    colours = 3 * 2 ** ((frame[10] & 7) + 1)
    place = frame.index(b"\x2c", 13 + colours)
    frame[place + 5 : place + 9] = struct.pack("<HH", 65_535, 65_535)
    yield "bomb-frame.gif", bytes(frame)
    bmp = bytearray(saved(picture(), "BMP"))
    bmp[18:26] = struct.pack("<ii", 60_000, 60_000)
    yield "bomb.bmp", bytes(bmp)
    jpeg = bytearray(saved(picture(), "JPEG"))
    start = jpeg.index(b"\xff\xc0")
    jpeg[start + 5 : start + 9] = struct.pack(">HH", 65_500, 65_500)
    yield "bomb.jpg", bytes(jpeg)
    tiff = saved(picture(), "TIFF")
    for tag in (256, 257):  # width, height
        place = tiff.index(struct.pack("<HHI", tag, 4, 1))
        tiff = tiff[: place + 8] + struct.pack("<I", 60_000) + tiff[place + 12 :]
    yield "bomb.tif", tiff


def stuffed() -> Files:
    """Pictures that carry far more beside their pixels."""
    text = b"key\0\0" + zlib.compress(b"x" * 1000)
    yield "text-10000.png", png(1, 1, *[chunk(b"zTXt", text)] * 10_000, pixels=b"\0\7")
    swollen = b"key\0\0" + zlib.compress(bytes(1 << 20), 9)
    yield "text-swollen.png", png(1, 1, *[chunk(b"zTXt", swollen)] * 100, pixels=b"\0\7")
    hundred = zlib.compress(bytes(100 << 20), 9)
    yield "text-one-swollen.png", png(1, 1, chunk(b"zTXt", b"key\0\0" + hundred), pixels=b"\0\7")
    yield "icc-swollen.png", png(1, 1, chunk(b"iCCP", b"icc\0\0" + hundred), pixels=b"\0\7")
    info = PngImagePlugin.PngInfo()
    info.add_itxt("key", "<script>alert(1)</script>" * 1000, zip=True)
    yield "text-script.png", saved(picture(), "PNG", pnginfo=info)
    for suffix in ("jpg", "png", "webp", "tif"):
        noise = random.Random(suffix).randbytes(3 << 20)  # noqa: S311 - to repeat, not a secret
        yield f"icc-3-MB.{suffix}", saved(picture(), FORMATS[suffix], icc_profile=noise)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + b"\xff" * 60_000
    for suffix in ("jpg", "png", "webp"):
        yield f"exif-60-kB.{suffix}", saved(picture(), FORMATS[suffix], exif=exif)
    loop = (
        b"Exif\0\0II*\0\x08\0\0\0\1\0"
        + struct.pack("<HHII", 0x8769, 4, 1, 8)
        + struct.pack("<I", 8)
    )
    yield "exif-loop.jpg", saved(picture(), "JPEG", exif=loop)
    yield "comment-60-kB.jpg", saved(picture(), "JPEG", comment=b"\x1b[2J" * 15_000)
    yield "trailing-1-MB.jpg", saved(picture(), "JPEG") + bytes(1 << 20)
    yield "leading-junk.jpg", b"\r\n" + saved(picture(), "JPEG")


def strangers() -> Files:
    """No pictures, or pictures in formats that zoo does not open, under the name of one."""
    for suffix in FORMATS:
        for size in (1, 16, 1024, 65_536):
            draw = random.Random(f"{suffix}-{size}")  # noqa: S311 - to repeat, not a secret
            yield f"noise-{size:05}.{suffix}", draw.randbytes(size)
        yield f"empty.{suffix}", b""
        yield f"page.{suffix}", b"<!DOCTYPE html>\n<html><title>404</title></html>\n"
        yield f"lfs.{suffix}", LFS
        yield f"zeros.{suffix}", bytes(4096)
    for kind in ("EPS", "PDF", "PCX", "TGA", "ICO", "ICNS", "SGI", "XBM", "DDS"):
        mode = {"XBM": "1", "PCX": "L"}.get(kind, "RGB")
        size = (64, 64) if kind == "ICNS" else (48, 32)
        yield f"really-{kind}.png", saved(picture(*size).convert(mode), kind)
    for name, data in FOREIGN.items():
        yield f"really-{name}.png", data
    for name, head in HEADS.items():
        yield f"head-alone-{name}.jpg", head
        yield f"head-and-zeros-{name}.jpg", head + bytes(512)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
FOREIGN = {
    "PSD": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 32, 48, 8, 3) + bytes(2000),
    "FITS": b"".join(
        line.ljust(80)
        for line in (
            *(b"SIMPLE  =                    T", b"BITPIX  =                    8"),
            *(b"NAXIS   =                    2", b"NAXIS1  =                   48"),
            *(b"NAXIS2  =                   32", b"END"),
        )
    ) + bytes(4096),
    "FPX": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000),
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "ZIP": b"PK\3\4" + bytes(100),
    "ELF": b"\x7fELF" + bytes(100),
    "pickle": b"cposix\nsystem\n(Vtrue\ntR.",
}  # fmt: skip
HEADS = {
    "jpeg": b"\xff\xd8\xff\xe0",
    "png": b"\x89PNG\r\n\x1a\n",
    "gif": b"GIF89a",
    "webp": b"RIFF\xff\xff\xff\xffWEBPVP8 ",
    "bmp": b"BM",
    "tiff": b"II*\0\x08\0\0\0",
    "bigtiff": b"II+\0\x08\0\0\0",
    "ppm": b"P6 99999999 99999999 255\n",
    "pfm": b"PF 10 10 nan\n",
    "jp2": b"\0\0\0\x0cjP  \r\n\x87\n",
    "j2k": b"\xff\x4f\xff\x51",
    "avif": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf",
}
