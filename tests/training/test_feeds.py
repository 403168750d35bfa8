from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import zoo
from zoo.data.augment import Recipe
from zoo.training import feeds
from zoo.training.device import Device, choose
from zoo.training.feeds import (
    FeatureFeed,
    ImageFeed,
    feature_batch,
    pixel_features,
    view_features,
)
from zoo.training.inputs import normalise
from zoo.training.model import Model
from zoo.training.resident import Streamed, placed

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

CPU = choose("cpu", "fp32", "off", layout="token")
PREPROCESS = zoo.Preprocess(size=(8, 8), resize=(8, 8))
RECIPE = Recipe(crop_min=0.5, flip=0.5, brightness=0.2, contrast=0.2, saturation=0.2)


COUNT = 6
#: bytes of the canvases and of the validation pixels
CANVASES = np.random.default_rng(0).integers(0, 256, (COUNT, 12, 12, 3), np.uint8)
PIXELS = np.random.default_rng(1).integers(0, 256, (COUNT, 8, 8, 3), np.uint8)
ROWS = np.array([5, 0, 3])


def feed(
    recipe: Recipe | None = RECIPE, views: int = 2, seed: int = 0, threads: int = 1
) -> ImageFeed:
    stored = PIXELS if recipe is None else CANVASES
    return ImageFeed(
        pictures=Streamed(stored, ROWS, CPU),
        aspects=np.ones(3),
        recipe=recipe,
        preprocess=PREPROCESS,
        views=views,
        seed=seed,
        device=CPU,
        threads=threads,
    )


def channels_first(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


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
    whole = feed().batch(2, np.array([0, 1, 2]))
    assert whole.shape == (6, 3, 8, 8)
    assert torch.equal(feed(threads=3).batch(2, np.array([2, 0])), whole[[4, 5, 0, 1]])
    assert torch.equal(feed(views=1).batch(2, np.array([1])), whole[[2]])
    assert not torch.equal(feed().batch(3, np.array([0, 1, 2])), whole)
    assert not torch.equal(feed(seed=1).batch(2, np.array([0, 1, 2])), whole)
    assert not torch.equal(whole[::2], whole[1::2])


def test_without_augmentation_every_view_is_the_validation_pixels() -> None:
    found = feed(recipe=None).batch(5, np.array([0, 2]))
    still = channels_first(PIXELS[ROWS[[0, 0, 2, 2]]])
    assert torch.equal(found, normalise(still, PREPROCESS, CPU))


def test_a_feed_that_is_at_rest_computes_with_as_many_threads_as_before() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        feed(threads=2).batch(0, np.arange(3))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("store", [Streamed, placed])
def test_on_a_card_no_batch_makes_the_host_wait(store: Any) -> None:  # noqa: ANN401 - either way
    card = choose("cuda", "auto", "auto", layout="conv")
    fed = replace(feed(), device=card, pictures=store(CANVASES, ROWS, card))
    fed.batch(0, np.arange(3))  # kernels are loaded, which waits
    torch.cuda.set_sync_debug_mode("error")
    try:
        fed.expect(np.arange(3))
        found = fed.batch(1, np.arange(3))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert float((found.cpu() - feed().batch(1, np.arange(3))).abs().max()) < 0.2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kept", [1, 5])
def test_on_a_card_no_batch_of_features_makes_the_host_wait(kept: int) -> None:
    stored, samples = features(kept=kept), np.array([7, 2, 4])
    fed = FeatureFeed(stored.cuda(), 2, 0)
    fed.batch(0, samples)  # kernels are loaded, which waits
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = fed.batch(1, samples)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(found.cpu(), FeatureFeed(stored, 2, 0).batch(1, samples))


# normalisation and features


@pytest.mark.parametrize("last", ["on", "off"])
def test_normalised_is_pixels_less_the_mean_over_the_deviation(last: str) -> None:
    found = normalise(
        channels_first(PIXELS), PREPROCESS, choose("cpu", "fp32", last, layout="conv")
    )
    expected = (PIXELS / 255 - np.array(PREPROCESS.mean)) / np.array(PREPROCESS.std)
    torch.testing.assert_close(
        found.permute(0, 2, 3, 1).double(), torch.from_numpy(expected), rtol=1e-5, atol=1e-5
    )
    format_ = torch.channels_last if last == "on" else torch.contiguous_format
    assert found.is_contiguous(memory_format=format_)


def test_features_follow_the_places_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    stored, told = PIXELS, list[int]()
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
        pixel_features(MODEL.features, PIXELS, np.array([], int), PREPROCESS, CPU, print).numel()
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


def many(count: int, device: Device = CPU) -> tuple[np.ndarray, ImageFeed]:
    """Validation pixels of so many pictures, and a feed of views of them."""
    draw = np.random.default_rng(2)
    canvases = draw.integers(0, 256, (count, 12, 12, 3), np.uint8)
    shown = replace(
        feed(),
        pictures=Streamed(canvases, np.arange(count), device),
        aspects=np.ones(count),
        device=device,
    )
    return draw.integers(0, 256, (count, 8, 8, 3), np.uint8), shown


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
    pixels, shown = many(count, device)

    def compute(places: np.ndarray) -> Tensor:
        if kept > 1:
            return view_features(model.features, shown, places, kept)
        return pixel_features(model.features, pixels, places, PREPROCESS, device, lambda _: None)

    together = compute(np.arange(count))
    for few in ([0], [4, 2], [*range(7, 20)], [count - 1, 0, 1]):
        assert torch.equal(compute(np.array(few)), together[few])


def test_all_batches_of_features_have_the_same_shape() -> None:
    seen: list[int] = []

    def forward(given: Tensor, views: int) -> Tensor:
        seen.append(len(given) // views)
        return given.new_zeros(len(given) // views, views, 2)

    count, size = feeds.FEATURE_BATCH + 3, feeds.FEATURE_BATCH
    pixels, shown = many(count)
    found = pixel_features(forward, pixels, np.arange(count), PREPROCESS, CPU, lambda _: None)
    assert found.shape == (count, 2)
    assert view_features(forward, shown, np.arange(5), 8).shape == (5, 8, 2)
    assert seen == [size, size, 4, 4]


@pytest.mark.parametrize(
    ("size", "gigabytes", "expected"),
    [
        ((224, 224), 0, 32),
        ((224, 224), 8, 32),
        ((224, 224), 24, 64),
        ((224, 224), 80, 256),
        ((448, 448), 80, 64),
        ((64, 64), 8, 256),
        ((1024, 1024), 80, 32),
    ],
)
def test_features_are_computed_in_batches_that_a_devices_memory_bears(
    size: tuple[int, int], gigabytes: int, expected: int
) -> None:
    assert feature_batch(size, gigabytes * 10**9) == expected


def test_a_device_with_memory_of_its_own_computes_features_in_larger_batches() -> None:
    seen: list[int] = []

    def forward(given: Tensor, views: int) -> Tensor:
        seen.append(len(given) // views)
        return given.new_zeros(len(given) // views, views, 2)

    large = replace(CPU, memory=80 * 10**9)
    pixels, shown = many(5, large)
    pixel_features(forward, pixels, np.arange(5), PREPROCESS, large, lambda _: None)
    view_features(forward, shown, np.arange(5), 8)
    assert seen == [256, 32]
