from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms
from torchvision.transforms import functional

from zoo.data.augment import Parameters, Recipe, View, apply, draw, views

if TYPE_CHECKING:
    from zoo.components import Interpolation

PLAIN = Recipe(flip=0, brightness=0, contrast=0, saturation=0)
KEY: dict[str, Any] = {"seed": 0, "phase": "full", "epoch": 0}


def smooth(side: int) -> np.ndarray:
    y, x = np.mgrid[:side, :side] / side
    channels = [128 + 90 * np.sin(7 * x + 3 * y), 255 * x, 255 * y * (1 - x)]
    return np.stack(channels, -1).astype(np.uint8)


def plain(box: tuple[float, float, float, float]) -> View:
    return View(box, flip=False, factors=(1, 1, 1), order=(0, 1, 2))


def lone(view: View) -> Parameters:
    return Parameters(
        np.array(view.box)[None, None],
        np.array([[view.flip]]),
        np.array(view.factors)[None, None],
        np.array(view.order)[None, None],
    )


@settings(deadline=None)  # the machine may be busy
@given(st.floats(0.02, 50), st.floats(0.05, 1), st.integers(0, 2**40))
def test_boxes_lie_inside_and_have_the_ratio_asked_for(
    aspect: float, least: float, sample: int
) -> None:
    recipe = Recipe(crop_min=least)
    found = draw(recipe, **KEY, samples=[sample], views=3, aspects=[aspect])
    x0, y0, x1, y1 = np.moveaxis(found.box, -1, 0)
    assert (x0 >= 0).all()
    assert (y0 >= 0).all()
    assert (x0 < x1).all()
    assert (x1 <= 1).all()
    assert (y0 < y1).all()
    assert (y1 <= 1).all()
    ratio = (x1 - x0) / (y1 - y0) * aspect
    assert ((ratio > 3 / 4 - 1e-9) & (ratio < 4 / 3 + 1e-9)).all()


@pytest.mark.parametrize("aspect", [1.0, 1.5, 0.6, 4.0])
def test_crops_are_distributed_as_torchvision_draws_them(aspect: float) -> None:
    count = 4000
    height, width = round(1000 / aspect**0.5), round(1000 * aspect**0.5)
    torch.manual_seed(0)
    image = torch.empty(1, height, width)
    theirs = np.array(
        [
            transforms.RandomResizedCrop.get_params(image, [0.25, 1.0], [3 / 4, 4 / 3])
            for _ in range(count)
        ],
        float,
    )
    top, left, high, wide = theirs.T / np.array([[height], [width], [height], [width]])
    box = draw(PLAIN, **KEY, samples=np.arange(count), views=1, aspects=[aspect] * count).box[:, 0]
    ours = box[:, 1], box[:, 0], box[:, 3] - box[:, 1], box[:, 2] - box[:, 0]
    for mine, other in zip(
        (*ours, ours[2] * ours[3]), (top, left, high, wide, high * wide), strict=True
    ):
        quantiles = np.linspace(0.05, 0.95, 19)
        gap = np.abs(np.quantile(mine, quantiles) - np.quantile(other, quantiles)).max()
        assert gap < 0.035


def test_flips_and_factors_follow_the_recipe() -> None:
    recipe = Recipe(flip=0.3, brightness=0.4, contrast=0, saturation=2)
    found = draw(recipe, **KEY, samples=np.arange(5000), views=2, aspects=np.ones(5000))
    assert abs(found.flip.mean() - 0.3) < 0.02
    low, high = found.factors.min((0, 1)), found.factors.max((0, 1))
    assert np.allclose(low, [0.6, 1, 0], atol=0.01)
    assert np.allclose(high, [1.4, 1, 3], atol=0.01)
    orders, counts = np.unique(found.order.reshape(-1, 3), axis=0, return_counts=True)
    assert len(orders) == 6
    assert counts.min() > 1500


def test_a_view_is_a_function_of_its_key_alone() -> None:
    samples, aspects = np.array([5, 9, 2, 7]), np.array([1.0, 0.7, 1.3, 2])
    whole = draw(Recipe(), **KEY, samples=samples, views=3, aspects=aspects)
    part = draw(Recipe(), **KEY, samples=samples[[2, 0]], views=[2, 1], aspects=aspects[[2, 0]])
    assert part.one(0, 0) == whole.one(2, 2)
    assert part.one(1, 1) == whole.one(0, 1)
    changes: list[dict[str, Any]] = [{"seed": 1}, {"phase": "probe"}, {"epoch": 1}]
    for change in changes:
        other = draw(Recipe(), **{**KEY, **change}, samples=samples, views=3, aspects=aspects)
        assert not np.isin(other.box, whole.box[whole.box % 1 > 0]).any()


def test_bytes_do_not_depend_on_threads_batch_or_order() -> None:
    canvases = np.random.default_rng(0).integers(0, 256, (6, 40, 40, 3), np.uint8)
    rows, samples = np.array([3, 0, 5, 5]), np.array([30, 0, 50, 51])

    def made(pick: list[int], threads: int) -> np.ndarray:
        found = draw(Recipe(), **KEY, samples=samples[pick], views=2, aspects=np.ones(len(pick)))
        return views(canvases, rows[pick], found, (24, 32), "bilinear", threads)

    whole = made([0, 1, 2, 3], 1)
    assert whole.shape == (4, 2, 24, 32, 3)
    assert np.array_equal(whole, made([0, 1, 2, 3], 3))
    assert np.array_equal(whole[[2, 0]], made([2, 0], 2))
    assert not np.array_equal(whole[2], whole[3])
    assert not np.array_equal(whole[:, 0], whole[:, 1])


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_crop_is_torchvision_resized_crop(interpolation: Interpolation) -> None:
    canvas = smooth(128)
    top, left, height, width = 16, 32, 64, 80
    box = (left / 128, top / 128, (left + width) / 128, (top + height) / 128)
    ours = apply(canvas, plain(box), (48, 56), interpolation)
    image: Any = Image.fromarray(canvas)  # torchvision takes it, its annotations do not
    theirs = functional.resized_crop(
        image, top, left, height, width, [48, 56],
        transforms.InterpolationMode(interpolation),
    )  # fmt: skip
    gap = np.abs(ours.astype(int) - np.asarray(theirs))
    assert gap[2:-2, 2:-2].max() <= 1  # at the edge, ours sees what lies beyond the box
    assert gap.max() <= 6


def test_flip_and_jitter_are_torchvision_ones() -> None:
    canvas = smooth(64)
    view = View((0, 0, 1, 1), flip=True, factors=(1.2, 0.8, 1.5), order=(2, 0, 1))
    image: Any = Image.fromarray(canvas)  # torchvision takes it, its annotations do not
    theirs = functional.hflip(image)
    theirs = functional.adjust_saturation(theirs, 1.5)
    theirs = functional.adjust_brightness(theirs, 1.2)
    theirs = functional.adjust_contrast(theirs, 0.8)
    assert np.array_equal(apply(canvas, view, (64, 64), "bilinear"), np.asarray(theirs))


def test_the_whole_canvas_unchanged_is_itself() -> None:
    canvas = smooth(32)
    assert np.array_equal(
        views(canvas[None], [0], lone(plain((0, 0, 1, 1))), (32, 32), "bicubic")[0, 0], canvas
    )
