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
from zoo.training.inputs import normalise

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.components import Preprocess
    from zoo.data.ingest import Images
    from zoo.training.device import Device

    #: images `[N·V, 3, H, W]` and V → features `[N, V, D]`
    Forward = Callable[[Tensor, int], Tensor]

#: features are computed in batches of this many images: large enough for every kernel,
#: small enough for a CPU's caches
FEATURE_BATCH = 32


class Feed(Protocol):
    """Gives the input of a training step."""

    def batch(self, epoch: int, samples: np.ndarray) -> Tensor:
        """The input for these samples `[B]` in this epoch (from 0)."""


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
        rows = torch.from_numpy(samples).to(self.features.device)
        kept = self.features.shape[1]
        if kept == 1:
            return self.features[rows].expand(-1, self.views, -1)
        keys = draws.uniform(self.seed, "views", epoch, samples[:, None], np.arange(kept)[None, :])
        picked = np.argsort(keys, axis=1, kind="stable")[:, : self.views]
        return self.features[rows[:, None], torch.from_numpy(picked).to(rows.device)]


@dataclass(frozen=True, slots=True)
class ImageFeed:
    """Views drawn afresh from the stored pictures in every epoch.

    Args:
        images: the ingested pictures.
        rows: row of each training sample in them.
        recipe: of the augmentation; None feeds the validation pixels unchanged.
        preprocess: size, interpolation and normalisation.
        views: V.
        seed: of the run.
        device: where the batch shall live.
        phase: name of the stream that draws come from.
        threads: how many draw views at the same time.
        ids: what each training sample is called in draws; its own number when None.
    """

    images: Images
    rows: np.ndarray
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
        pixels = self.pixels(epoch, samples)
        return normalise(pixels, self.preprocess, self.device)

    def pixels(self, epoch: int, samples: np.ndarray) -> np.ndarray:
        """uint8 `[B, V, H, W, 3]`."""
        rows = self.rows[samples]
        if self.recipe is None:
            still = self.images.pixels[self.images.pixels_row[rows]]
            return np.repeat(still[:, None], self.views, axis=1)
        drawn = augment.draw(
            self.recipe,
            seed=self.seed,
            phase=self.phase,
            epoch=epoch,
            samples=samples if self.ids is None else self.ids[samples],
            views=self.views,
            aspects=self.images.aspects[rows],
        )
        return augment.views(
            self.images.canvases,
            self.images.canvas_row[rows],
            drawn,
            self.preprocess.size,
            self.preprocess.interpolation,
            self.threads,
        )


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
        fill: whether a small batch is filled up: see `_filled`.
    """
    found = []
    for start in range(0, len(places), FEATURE_BATCH):
        chosen = places[start : start + FEATURE_BATCH]
        given = _filled(pixels[chosen], FEATURE_BATCH) if fill else pixels[chosen]
        with device.autocast():
            made = forward(normalise(given, preprocess, device), 1)[: len(chosen), 0]
        found.append(made)
        progress(len(chosen))
    return torch.cat(found) if found else torch.empty(0, 0)


@torch.inference_mode()
def view_features(forward: Forward, feed: ImageFeed, samples: np.ndarray, kept: int) -> Tensor:
    """Features `[n, kept, D]` of K = `kept` fixed views of each of some training samples.

    View k is what the feed draws in epoch k, so the views are those of no particular run: the
    caller gives the feed a seed that does not depend on the run's.
    """
    found = []
    size = max(1, FEATURE_BATCH // kept)
    for start in range(0, len(samples), size):
        chosen = samples[start : start + size]
        views = np.stack([feed.pixels(view, chosen)[:, 0] for view in range(kept)], axis=1)
        given = _filled(views, size)
        with feed.device.autocast():
            made = forward(normalise(given, feed.preprocess, feed.device), kept)[: len(chosen)]
        found.append(made)
    return torch.cat(found) if found else torch.empty(0, kept, 0)


def _filled(batch: np.ndarray, size: int) -> np.ndarray:
    """A batch, filled up to its usual size with copies of its last.

    Kernels are chosen by the size of a batch, and round in another order: a product of float32
    matrices gives other last bits for up to 15 rows than for 16. Filled, the features of an image
    are the same whatever else is computed with it: the few that a cache lacks, or all.
    """
    return np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])
