from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from zoo.components import Crop, Interpolation, Preprocess
from zoo.data.decode import decode
from zoo.data.preprocess import canvas, pixels, prepare

if TYPE_CHECKING:
    from pathlib import Path

SIZES = [(500, 375), (375, 500), (257, 301), (301, 257), (256, 256), (100, 33), (5, 400), (1, 1)]
CROPS: list[Crop] = ["center", "squash", "border"]
SIDES = st.integers(1, 300)


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest", "lanczos"])
@pytest.mark.parametrize(("resize", "crop"), [(256, 224), (232, 224), (64, 64), (40, 64)])
def test_center_is_torchvision_resize_and_center_crop(
    size: tuple[int, int], interpolation: Interpolation, resize: int, crop: int
) -> None:
    theirs = transforms.Compose(
        [
            transforms.Resize(resize, transforms.InterpolationMode(interpolation)),
            transforms.CenterCrop(crop),
        ]
    )
    ours = Preprocess(size=(crop, crop), resize=(resize, resize), interpolation=interpolation)
    image = noise(*size)
    assert np.array_equal(pixels(image, ours), np.asarray(theirs(image)))


@settings(deadline=None)  # the machine may be busy
@given(SIDES, SIDES, st.sampled_from(CROPS), st.sampled_from([(64, 64), (48, 80)]))
def test_every_crop_is_timm_evaluation(
    width: int, height: int, crop: Crop, size: tuple[int, int]
) -> None:
    resize = int(size[0] / 0.9), int(size[1] / 0.9)
    mean = (0.5, 0.4, 0.3)
    theirs: Any = timm.data.create_transform(
        (3, *size), interpolation="bicubic", mean=mean, crop_pct=0.9, crop_mode=crop,
        use_prefetcher=True,
    )  # fmt: skip
    ours = Preprocess(size=size, resize=resize, crop=crop, interpolation="bicubic", mean=mean)
    image = noise(width, height)
    if crop != "squash" and max(width, height) > 50 * min(width, height):
        assert pixels(image, ours).shape == (*size, 3)  # timm fails on some of these
        return
    assert np.array_equal(pixels(image, ours), theirs(image).permute(1, 2, 0).numpy())


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (30_000, 2)])
@pytest.mark.parametrize("crop", CROPS)
def test_strips_neither_fail_nor_fill_the_memory(size: tuple[int, int], crop: Crop) -> None:
    assert pixels(noise(*size), Preprocess(crop=crop)).shape == (224, 224, 3)


def test_a_picture_that_fits_already_is_not_touched() -> None:
    image = noise(224, 224)
    assert np.array_equal(pixels(image, Preprocess(resize=(224, 224))), np.asarray(image))


def test_a_canvas_holds_the_whole_picture() -> None:
    image = Image.new("RGB", (300, 100), "black")
    image.paste((255, 255, 255), (150, 0, 300, 100))
    square = canvas(image, 64)
    assert square.shape == (64, 64, 3)
    assert square[:, :30].max() < 10
    assert square[:, 34:].min() > 245


def smooth_jpeg(path: Path, width: int, height: int) -> Path:
    waves = (
        np.sin(np.arange(width) / 40)[None, :, None] + np.cos(np.arange(height) / 30)[:, None, None]
    )
    values = np.broadcast_to(127 + 60 * waves, (height, width, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "JPEG", quality=95)
    path.write_bytes(stream.getvalue())
    return path


@pytest.mark.parametrize("size", [(1600, 1100), (200, 150)])
def test_canvas_and_pixels_do_not_depend_on_what_else_is_wanted(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    path = smooth_jpeg(tmp_path / "x.jpg", *size)
    recipe = Preprocess(size=(32, 32), resize=(36, 36))
    both, first, second = (
        prepare(path.read_bytes(), recipe, 64),
        prepare(path.read_bytes(), recipe, 0),
        prepare(path.read_bytes(), None, 64),
    )
    assert both.size == first.size == second.size == size
    assert first.canvas is None
    assert second.pixels is None
    assert both.pixels is not None
    assert both.canvas is not None
    assert np.array_equal(both.pixels, pixels(decode(path), recipe))
    assert first.pixels is not None
    assert second.canvas is not None
    assert np.array_equal(both.pixels, first.pixels)
    assert np.array_equal(both.canvas, second.canvas)


def test_a_reduced_jpeg_leaves_no_trace_in_the_canvas(tmp_path: Path) -> None:
    path = smooth_jpeg(tmp_path / "x.jpg", 1600, 1104)
    reduced = prepare(path.read_bytes(), None, 64).canvas
    assert reduced is not None
    assert np.abs(reduced.astype(int) - canvas(decode(path), 64)).max() <= 3
