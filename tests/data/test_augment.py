from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision import transforms

from zoo.data.augment import Parameters, Recipe, draw

PLAIN = Recipe(flip=0, brightness=0, contrast=0, saturation=0)
KEY: dict[str, Any] = {"seed": 0, "phase": "full", "epoch": 0}


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
    for name in ("box", "flip", "factors", "order"):
        ours, all_of_them = getattr(part, name), getattr(whole, name)
        assert np.array_equal(ours[0, 0], all_of_them[2, 2])
        assert np.array_equal(ours[1, 1], all_of_them[0, 1])
    changes: list[dict[str, Any]] = [{"seed": 1}, {"phase": "probe"}, {"epoch": 1}]
    for change in changes:
        other = draw(Recipe(), **{**KEY, **change}, samples=samples, views=3, aspects=aspects)
        assert not np.isin(other.box, whole.box[whole.box % 1 > 0]).any()


def test_each_view_may_be_of_an_epoch_of_its_own() -> None:
    given: dict[str, Any] = {**KEY, "samples": np.arange(5), "aspects": np.ones(5)}
    given |= {"epoch": [3, 0, 3], "views": [0, 1, 1]}
    mixed = draw(Recipe(), **given)
    for place, (epoch, view) in enumerate([(3, 0), (0, 1), (3, 1)]):
        given |= {"epoch": epoch, "views": [view]}
        alone = draw(Recipe(), **given)
        assert np.array_equal(mixed.box[:, place], alone.box[:, 0])
        assert np.array_equal(mixed.factors[:, place], alone.factors[:, 0])


@given(st.tuples(*[st.integers(1, 40)] * 2), st.tuples(*[st.floats(0, 1)] * 4))
def test_a_crop_in_whole_pixels_is_never_empty(
    size: tuple[int, int], ends: tuple[float, float, float, float]
) -> None:
    left, right = sorted(ends[:2])
    top, bottom = sorted(ends[2:])
    drawn = Parameters(
        box=np.array([[[left, top, right, bottom]]]),
        flip=np.array([[False]]),
        factors=np.ones((1, 1, 3)),
        order=np.array([[[0, 1, 2]]]),
    )
    width, height = size
    x0, y0, x1, y1 = drawn.crops(np.array([[height, width]]))[0, 0].tolist()
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
    assert x1 == max(round(right * width), x0 + 1)
    assert y0 == min(round(top * height), height - 1)
