from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from tests.data.pictures import smooth_jpeg
from zoo.components import Crop, Interpolation, Preprocess
from zoo.data import preprocess as module
from zoo.data.decode import decode, decode_scaled
from zoo.data.preprocess import file_pixels, pixels, prepare

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
    assert np.array_equal(both.pixels, file_pixels(path, recipe))
    assert first.pixels is not None
    assert second.canvas is not None
    assert np.array_equal(both.pixels, first.pixels)
    assert np.array_equal(both.canvas, second.canvas)


@pytest.mark.parametrize("size", [(143, 143), (143, 600)])
def test_pixels_of_what_is_not_much_larger_are_those_of_the_whole_picture(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    path = smooth_jpeg(tmp_path / "x.jpg", *size)
    recipe = Preprocess(size=(32, 32), resize=(36, 36))
    assert np.array_equal(file_pixels(path, recipe), pixels(decode(path), recipe))


@pytest.mark.parametrize("crop", CROPS)
def test_a_reduced_jpeg_leaves_no_trace_in_the_pixels(tmp_path: Path, crop: Crop) -> None:
    path = smooth_jpeg(tmp_path / "x.jpg", 1600, 1104)
    recipe = Preprocess(size=(32, 32), resize=(36, 36), crop=crop)
    whole = pixels(decode(path), recipe)
    assert np.abs(file_pixels(path, recipe).astype(int) - whole).max() <= 3


def test_a_filter_that_takes_single_pixels_takes_them_from_the_whole_picture(
    tmp_path: Path,
) -> None:
    path = smooth_jpeg(tmp_path / "x.jpg", 1600, 1104)
    recipe = Preprocess(size=(32, 32), resize=(36, 36), interpolation="nearest")
    assert np.array_equal(file_pixels(path, recipe), pixels(decode(path), recipe))


@pytest.mark.parametrize(
    ("side", "decodes"), [(48, 1), (64, 1), (200, 2)], ids=["both-8", "both-8-also", "2-and-8"]
)
def test_canvas_and_pixels_share_a_decode_where_it_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int, decodes: int
) -> None:
    path = smooth_jpeg(tmp_path / "x.jpg", 1600, 1104)
    sizes: list[tuple[int, int]] = []

    def counting(*given: Any) -> Any:  # noqa: ANN401 - passed on
        found = decode_scaled(*given)
        sizes.append(found.image.size)
        return found

    monkeypatch.setattr(module, "decode_scaled", counting)
    prepare(path.read_bytes(), Preprocess(size=(32, 32), resize=(36, 36)), side)
    assert len(sizes) == decodes
    assert sizes[-1] == (200, 138)


def test_a_picture_that_is_no_jpeg_is_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise(900, 700).save(tmp_path / "x.png")
    decodes: list[int] = []

    def counting(source: Any, least: int) -> Any:  # noqa: ANN401 - passed on
        decodes.append(least)
        return decode_scaled(source, least)

    monkeypatch.setattr(module, "decode_scaled", counting)
    recipe = Preprocess(size=(32, 32), resize=(36, 36))
    made = prepare((tmp_path / "x.png").read_bytes(), recipe, 300)
    assert len(decodes) == 1
    assert np.array_equal(made.pixels, pixels(decode(tmp_path / "x.png"), recipe))  # type: ignore[arg-type]  # wanted
