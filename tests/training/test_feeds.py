from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import zoo
from zoo.data.augment import Recipe
from zoo.data.ingest import Images
from zoo.training import feeds
from zoo.training.device import choose
from zoo.training.feeds import FeatureFeed, ImageFeed, pixel_features, view_features
from zoo.training.inputs import normalise
from zoo.training.model import Model

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

CPU = choose("cpu", "fp32", "off", layout="token")
PREPROCESS = zoo.Preprocess(size=(8, 8), resize=(8, 8))
RECIPE = Recipe(crop_min=0.5, flip=0.5, brightness=0.2, contrast=0.2, saturation=0.2)


def images(count: int = 6) -> Images:
    draw = np.random.default_rng(0)
    rows = np.arange(count, dtype=np.int64)
    return Images(
        pixels=draw.integers(0, 256, (count, 8, 8, 3), np.uint8),
        pixels_row=rows[::-1].copy(),
        canvases=draw.integers(0, 256, (count, 12, 12, 3), np.uint8),
        canvas_row=rows,
        sizes=np.full((count, 2), 12, np.int64),
    )


def feed(
    recipe: Recipe | None = RECIPE, views: int = 2, seed: int = 0, threads: int = 1
) -> ImageFeed:
    return ImageFeed(
        images(), np.array([5, 0, 3]), recipe, PREPROCESS, views, seed, CPU, threads=threads
    )


class Flat(nn.Module):
    def forward(self, given: Tensor) -> Tensor:
        return given.flatten(1)[:, :7]


def nobody(_: str) -> AbstractContextManager[None]:
    return nullcontext()


MODEL = Model(Flat(), nn.Identity(), (nobody, nobody)).eval()


# stored features


def features(count: int = 9, kept: int = 5) -> Tensor:
    """Each feature says which sample and view it is of."""
    sample, view = torch.meshgrid(torch.arange(count), torch.arange(kept), indexing="ij")
    return torch.stack([sample, view], -1).float()


@given(st.integers(0, 50), st.integers(1, 5), st.integers(0, 3))
def test_an_epoch_picks_distinct_views_of_each_sample(epoch: int, views: int, seed: int) -> None:
    samples = np.array([7, 2, 4])
    found = FeatureFeed(features(), views, seed).batch(epoch, samples)
    assert found.shape == (3, views, 2)
    assert (found[..., 0] == torch.tensor([[7.0], [2.0], [4.0]])).all()
    for row in found[..., 1]:
        assert len(set(row.tolist())) == views


def test_which_views_do_not_depend_on_the_batch_but_on_epoch_and_seed() -> None:
    feed = FeatureFeed(features(), 2, 0)
    whole = feed.batch(3, np.arange(9))
    assert torch.equal(feed.batch(3, np.array([4, 8])), whole[[4, 8]])
    assert not torch.equal(feed.batch(4, np.arange(9)), whole)
    assert not torch.equal(FeatureFeed(features(), 2, 1).batch(3, np.arange(9)), whole)


def test_over_the_epochs_every_view_has_its_turn() -> None:
    feed = FeatureFeed(features(), 2, 0)
    seen = torch.cat([feed.batch(epoch, np.arange(9))[..., 1] for epoch in range(40)], 1)
    for row in seen:
        assert set(row.tolist()) == {0, 1, 2, 3, 4}


def test_one_kept_view_stands_for_all() -> None:
    found = FeatureFeed(features(kept=1), 3, 0).batch(0, np.array([1]))
    assert found[..., 1].tolist() == [[0, 0, 0]]


# images


def test_a_view_is_a_function_of_seed_epoch_and_sample() -> None:
    whole = feed().pixels(2, np.array([0, 1, 2]))
    assert whole.shape == (3, 2, 8, 8, 3)
    assert (feed(threads=3).pixels(2, np.array([2, 0])) == whole[[2, 0]]).all()
    assert (feed().pixels(3, np.array([0, 1, 2])) != whole).any()
    assert (feed(seed=1).pixels(2, np.array([0, 1, 2])) != whole).any()
    assert (whole[:, 0] != whole[:, 1]).any()


def test_without_augmentation_every_view_is_the_validation_pixels() -> None:
    found = feed(recipe=None).pixels(5, np.array([0, 2]))
    stored = images()
    assert (found == stored.pixels[stored.pixels_row[[5, 3]]][:, None]).all()
    assert found.shape[1] == 2


def test_a_batch_lays_the_views_of_a_sample_side_by_side() -> None:
    batch = feed().batch(0, np.array([1, 2]))
    assert batch.shape == (4, 3, 8, 8)
    alone = feed().batch(0, np.array([2]))
    assert torch.equal(batch[2:], alone)


# normalisation and features


@pytest.mark.parametrize("last", ["on", "off"])
def test_normalised_is_pixels_less_the_mean_over_the_deviation(last: str) -> None:
    pixels = images().pixels
    found = normalise(pixels, PREPROCESS, choose("cpu", "fp32", last, layout="conv"))
    expected = (pixels / 255 - np.array(PREPROCESS.mean)) / np.array(PREPROCESS.std)
    torch.testing.assert_close(
        found.permute(0, 2, 3, 1).double(), torch.from_numpy(expected), rtol=1e-5, atol=1e-5
    )
    format_ = torch.channels_last if last == "on" else torch.contiguous_format
    assert found.is_contiguous(memory_format=format_)


def test_features_follow_the_places_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    stored, told = images().pixels, list[int]()
    places = np.array([3, 0, 5, 1, 2])
    whole = pixel_features(MODEL.features, stored, places, PREPROCESS, CPU, told.append)
    monkeypatch.setattr(feeds, "FEATURE_BATCH", 2)
    cut = pixel_features(MODEL.features, stored, places, PREPROCESS, CPU, told.append)
    assert whole.shape == (5, 7)
    assert torch.equal(cut, whole)
    assert told == [5, 2, 2, 1]
    assert not whole.requires_grad


def test_no_place_gives_no_feature() -> None:
    assert (
        pixel_features(
            MODEL.features, images().pixels, np.array([], int), PREPROCESS, CPU, print
        ).numel()
        == 0
    )


def test_kept_views_are_those_of_as_many_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.arange(3)
    found = view_features(MODEL.features, feed(), samples, 4)
    monkeypatch.setattr(feeds, "FEATURE_BATCH", 4)
    assert torch.equal(view_features(MODEL.features, feed(), samples, 4), found)
    assert torch.equal(view_features(MODEL.features, feed(), samples[1:], 4), found[1:])
    assert found.shape == (3, 4, 7)
    first = feed(views=1).batch(2, np.array([1]))
    assert torch.equal(found[1, 2], MODEL.features(first)[0, 0])


class Mixed(nn.Module):
    """Convolution and product: what kernels are chosen for by the size of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3)
        self.layer = nn.Linear(576, 33)

    def forward(self, given: Tensor) -> Tensor:
        return self.layer(self.conv(given).flatten(1))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kept", [1, 3])
def test_features_are_the_same_whatever_is_computed_beside_them(precision: str, kept: int) -> None:
    device = choose("cpu", precision, "off", layout="")
    torch.manual_seed(0)
    model = Model(Mixed(), nn.Identity(), (nobody, nobody)).eval()
    count = feeds.FEATURE_BATCH + 3
    shown = replace(
        feed(), images=images(count), rows=np.arange(count), device=device, ids=np.arange(count)
    )

    def compute(places: np.ndarray) -> Tensor:
        if kept > 1:
            return view_features(model.features, shown, places, kept)
        return pixel_features(
            model.features, shown.images.pixels, places, PREPROCESS, device, lambda _: None
        )

    together = compute(np.arange(count))
    for few in ([0], [4, 2], [*range(7, 20)], [count - 1, 0, 1]):
        assert torch.equal(compute(np.array(few)), together[few])


def test_all_batches_of_features_have_the_same_shape() -> None:
    seen: list[int] = []

    def forward(given: Tensor, views: int) -> Tensor:
        seen.append(len(given) // views)
        return given.new_zeros(len(given) // views, views, 2)

    count, size = feeds.FEATURE_BATCH + 3, feeds.FEATURE_BATCH
    shown = replace(feed(), images=images(count), rows=np.arange(count))
    pixels = shown.images.pixels
    found = pixel_features(forward, pixels, np.arange(count), PREPROCESS, CPU, lambda _: None)
    assert found.shape == (count, 2)
    assert view_features(forward, shown, np.arange(5), 8).shape == (5, 8, 2)
    assert seen == [size, size, 4, 4]
