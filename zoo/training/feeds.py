"""What a training step is fed: stored features of a frozen backbone, or freshly augmented images.

Both are addressed by sample (a row of the training part) and pure: the same (seed, phase, epoch,
sample) gives the same input, whatever the batch or the machine's load.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from zoo.data import augment, draws
from zoo.training.augment import planned, view, views
from zoo.training.device import moved
from zoo.training.inputs import affine, normalise
from zoo.training.threads import spread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zoo.components import Preprocess
    from zoo.training.augment import Work
    from zoo.training.device import Device
    from zoo.training.resident import Pictures

    #: images `[N·V, 3, H, W]` and V → features `[N, V, D]`
    Forward = Callable[[Tensor, int], Tensor]

#: features are computed in batches of so many images; in larger ones where a device has memory of
#: its own. Measured on a CPU with lite0 and resnet18, 16, 32 and 128 take the same processor time
#: within a sixteenth, and the smaller a batch, the less is filled up.
FEATURE_BATCH, _LARGEST_BATCH = 32, 256
#: share of the device's memory that a forward pass may take, and how many times the memory of its
#: image in float32 (the widest layers there are, VGG's first, hold 43 times as much, in and out)
_SHARE, _WIDEST = 1 / 8, 64


class Feed(Protocol):
    """Gives the input of a training step."""

    def batch(self, epoch: int, samples: np.ndarray) -> Tensor:
        """The input for these samples `[B]` in this epoch (from 0)."""

    def begin(self, batches: Sequence[np.ndarray]) -> None:
        """Told all batches of samples that will be asked for, as of an epoch, in their order."""

    def expect(self, samples: np.ndarray) -> None:
        """Told which samples come next, while the device still computes the step before."""


@dataclass(frozen=True, slots=True)
class FeatureFeed:
    """Stored features of K fixed views of each sample; each epoch picks V distinct ones.

    Args:
        features: `[n, K, D]` on the device.
        views: V.
        seed: of the run.
    """

    features: Tensor
    views: int
    seed: int

    def batch(self, epoch: int, samples: np.ndarray) -> Tensor:
        """Features `[B, V, D]`."""
        rows = moved(samples, self.features.device)
        kept = self.features.shape[1]
        if kept == 1:
            # Row by row as they lie in memory: a third of the time of a general index.
            return self.features.index_select(0, rows).expand(-1, self.views, -1)
        keys = draws.uniform(self.seed, "views", epoch, samples[:, None], np.arange(kept)[None, :])
        picked = np.argsort(keys, axis=1, kind="stable")[:, : self.views]
        return self.features[rows[:, None], moved(picked, rows.device)]

    def begin(self, batches: Sequence[np.ndarray]) -> None:
        """Nothing is to be done: all features are there."""

    def expect(self, samples: np.ndarray) -> None:
        """Nor here."""


@dataclass(frozen=True, slots=True)
class ImageFeed:
    """Views drawn afresh from the stored pictures in every epoch.

    Args:
        pictures: canvases of the samples, or without a recipe their validation pixels.
        aspects: true width / height of each sample's picture `[n]`.
        recipe: of the augmentation; None feeds the validation pixels unchanged.
        preprocess: size, interpolation and normalisation.
        views: V.
        seed: of the run.
        device: where the batch shall live.
        phase: name of the stream that draws come from.
        threads: how many make views at the same time, on a CPU.
        ids: what each training sample is called in draws; its own number when None.
    """

    pictures: Pictures
    aspects: np.ndarray
    recipe: augment.Recipe | None
    preprocess: Preprocess
    views: int
    seed: int
    device: Device
    phase: str = "full"
    threads: int = 1
    ids: np.ndarray | None = None

    def batch(self, epoch: int, samples: np.ndarray) -> Tensor:
        """Normalised images `[B·V, 3, H, W]`."""
        return self._made(samples, np.full(self.views, epoch), np.arange(self.views))

    def kept(self, samples: np.ndarray, count: int) -> Tensor:
        """The first view of each of `count` epochs, normalised `[B·count, 3, H, W]`."""
        return self._made(samples, np.arange(count), np.zeros(count, np.int64))

    def begin(self, batches: Sequence[np.ndarray]) -> None:
        """Have the pictures decoded ahead where they are not kept."""
        if batches:
            self.pictures.begin(np.concatenate(batches))

    def expect(self, samples: np.ndarray) -> None:
        """Have the pictures sent ahead where they are not on the device."""
        self.pictures.expect(samples)

    def _made(self, samples: np.ndarray, epochs: np.ndarray, numbers: np.ndarray) -> Tensor:
        """Views of some samples `[B]`, each of the epoch `[V]` and number `[V]` that it has."""
        drawn = None
        if self.recipe:
            drawn = augment.draw(
                self.recipe,
                seed=self.seed,
                phase=self.phase,
                epoch=epochs,
                samples=samples if self.ids is None else self.ids[samples],
                views=numbers,
                aspects=self.aspects[samples],
            )
        count = len(numbers)
        shapes = self.pictures.shapes[samples]
        if self.device.accelerator:
            pictures = self.pictures.gather(samples)
            size, interpolation = self.preprocess.size, self.preprocess.interpolation
            images = (
                _as_they_are(pictures, count)
                if drawn is None
                else views(pictures, shapes, drawn, size, interpolation)
            )
            return normalise(images, self.preprocess, self.device)
        work = planned(drawn, shapes) if drawn else None
        # Other threads cannot write to what is made in inference mode.
        with torch.inference_mode(mode=False):
            made = torch.empty(
                (len(samples) * count, 3, *self.preprocess.size),
                memory_format=self.device.memory_format,
            )

        def fill(place: int) -> None:
            one = slice(place, place + 1)
            out = made[place * count : (place + 1) * count]
            self._fill(samples[one], work, place, out)

        # Picture by picture, each of which stays in a core's cache.
        spread(fill, len(samples), self.threads)
        return made

    def _fill(self, sample: np.ndarray, work: Work | None, place: int, out: Tensor) -> None:
        """Views of one sample `[1]`, the batch's `place`-th; without work, its pixels as are."""
        (picture,) = self.pictures.gather(sample)
        if work is None:
            normalise(_as_they_are(picture[None], len(out)), self.preprocess, self.device, out)
            return
        size, interpolation = self.preprocess.size, self.preprocess.interpolation
        for number, one in enumerate(out, place * len(out)):
            one[None].copy_(
                view(picture, work, number, size, interpolation, affine(self.preprocess))
            )


def _as_they_are(pictures: Tensor, count: int) -> Tensor:
    """Pictures `[N, H, W, 3]`, each `count` times `[N·count, 3, H, W]`."""
    return pictures.repeat_interleave(count, 0).permute(0, 3, 1, 2)


def feature_batch(size: tuple[int, int], memory: int) -> int:
    """How many images' features are computed at a time: a power of two.

    It goes by all of the device's memory and not by what is free at the moment: kernels are chosen
    by it, and an image's features shall be the same bits whenever they are computed.

    Args:
        size: (height, width) of the images, pixels.
        memory: of the device in all, bytes; 0 where it has none of its own.
    """
    each = _WIDEST * 3 * size[0] * size[1] * torch.float32.itemsize
    batch = FEATURE_BATCH
    while 2 * batch <= _LARGEST_BATCH and 2 * batch * each <= memory * _SHARE:
        batch *= 2
    return batch


@torch.inference_mode()
def pixel_features(  # noqa: PLR0913 - one fact each
    forward: Forward,
    pixels: np.ndarray,
    places: np.ndarray,
    preprocess: Preprocess,
    device: Device,
    progress: Callable[[int], None],
    *,
    fill: bool = True,
) -> Tensor:
    """Features `[n, D]` of validation pixels, as prediction computes them.

    Args:
        forward: of a model in eval mode.
        pixels: uint8 `[m, H, W, 3]`.
        places: which of them, in the order wanted; batches follow this order.
        preprocess: whose mean and std to use.
        device: where to compute.
        progress: called with the number of images of each batch done.
        fill: whether a small batch is filled up: see `filled`.
    """
    found = []
    size = feature_batch(preprocess.size, device.memory)
    for start in range(0, len(places), size):
        chosen = places[start : start + size]
        taken = filled(chosen, size) if fill else chosen
        still = torch.from_numpy(pixels[taken]).permute(0, 3, 1, 2)
        images = normalise(still, preprocess, device)
        with device.autocast():
            found.append(forward(images, 1)[: len(chosen), 0])
        progress(len(chosen))
    return torch.cat(found) if found else torch.empty(0, 0)


@torch.inference_mode()
def view_features(forward: Forward, feed: ImageFeed, samples: np.ndarray, kept: int) -> Tensor:
    """Features `[n, kept, D]` of K = `kept` fixed views of each of some training samples.

    View k is what the feed draws in epoch k, so the views are those of no particular run: the
    caller gives the feed a seed that does not depend on the run's.
    """
    found = []
    size = max(1, feature_batch(feed.preprocess.size, feed.device.memory) // kept)
    for start in range(0, len(samples), size):
        chosen = samples[start : start + size]
        images = feed.kept(chosen, kept)
        if len(chosen) < size:  # filled when they are made: what is not kept is decoded once
            images = images.reshape(len(chosen), kept, *images.shape[1:])
            images = images[filled(np.arange(len(chosen)), size)].flatten(0, 1)
            images = images.contiguous(memory_format=feed.device.memory_format)
        with feed.device.autocast():
            found.append(forward(images, kept)[: len(chosen)])
    return torch.cat(found) if found else torch.empty(0, kept, 0)


def filled(places: np.ndarray, size: int) -> np.ndarray:
    """The places `[b]` of a batch, filled up to its usual size with the last of them.

    Kernels are chosen by the size of a batch, and round in another order: a product of float32
    matrices gives other last bits for up to 15 rows than for 16. Filled, the features of an image
    are the same whatever else is computed with it: the few that a cache lacks, or all.
    """
    return np.concatenate([places, np.repeat(places[-1:], size - len(places))])
