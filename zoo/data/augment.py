"""What random views of a picture are: resized crop, flip, colour jitter, drawn as numbers.

What is drawn depends on (seed, phase, epoch, sample, view) alone, so a view is the same in every
batch and resumed run. The distributions are those of torchvision's `RandomResizedCrop`,
`RandomHorizontalFlip` and `ColorJitter` (without hue). `zoo.training.augment` carries them out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zoo.data.draws import uniform

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: of what is drawn and of how it is carried out: another number, and features of views that were
#: made before are computed anew
VERSION = 4
#: places in `Parameters.factors`
BRIGHTNESS, CONTRAST, SATURATION = range(3)
#: how often a crop is drawn before the middle is taken, as in torchvision
_TRIES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How views are drawn.

    Args:
        crop_min: least area of a crop, as a share of the picture's.
        crop_max: greatest.
        ratio: least and greatest width / height of a crop, drawn log-uniformly.
        flip: probability of a left-right flip.
        brightness: the factor is uniform in 1 ± this (not below 0); 0 leaves it alone.
        contrast: likewise.
        saturation: likewise.
    """

    crop_min: float = 0.25
    crop_max: float = 1.0
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2


@dataclass(frozen=True, slots=True)
class Parameters:
    """N x V views' parameters.

    Args:
        box: float64 `[N, V, 4]`: x0, y0, x1, y1 relative to the picture, in 0..1.
        flip: bool `[N, V]`.
        factors: float64 `[N, V, 3]`: brightness, contrast, saturation.
        order: int64 `[N, V, 3]`: in which order they are applied.
    """

    box: NDArray[np.float64]
    flip: NDArray[np.bool_]
    factors: NDArray[np.float64]
    order: NDArray[np.int64]

    def some(self, samples: slice) -> Parameters:
        """Those of some of the samples."""
        return Parameters(
            self.box[samples], self.flip[samples], self.factors[samples], self.order[samples]
        )

    def crops(self, shapes: NDArray[np.int64]) -> NDArray[np.int64]:
        """The boxes in whole pixels of the pictures, as torchvision draws them.

        Args:
            shapes: (height, width) of each picture as it is stored, pixels `[N, 2]`.

        Returns:
            int64 `[N, V, 4]`: x0, y0, x1, y1; never empty.
        """
        ends = shapes[:, None, [1, 0]]
        edges = np.rint(self.box * np.tile(ends, 2)).astype(np.int64)
        start = np.minimum(edges[..., :2], ends - 1)
        return np.concatenate([start, np.maximum(edges[..., 2:], start + 1)], axis=-1)


def draw(  # noqa: PLR0913 - what a draw is a function of
    recipe: Recipe,
    *,
    seed: int,
    phase: str,
    epoch: ArrayLike,
    samples: ArrayLike,
    views: int | ArrayLike,
    aspects: ArrayLike,
) -> Parameters:
    """The parameters of views of each sample.

    Args:
        recipe: the distributions.
        seed: the run's (or a fixed one, for views that several runs share).
        phase: the phase's name.
        epoch: from 0 within the phase; or that of each view `[V]`.
        samples: sample ids `[N]`.
        views: V, for the views 0 to V - 1; or the views' numbers `[V]`.
        aspects: true width / height of each sample's picture `[N]`.
    """
    ids = np.asarray(samples)[:, None, None]
    numbers = np.atleast_1d(np.arange(views) if isinstance(views, int) else views)[None, :, None]
    epochs = np.atleast_1d(epoch)[None, :, None]
    aspect = np.asarray(aspects, np.float64)[:, None]

    def draws(purpose: str, count: int) -> NDArray[np.float64]:
        return uniform(seed, f"{phase}/{purpose}", epochs, ids, numbers, np.arange(count))

    spread = np.array([recipe.brightness, recipe.contrast, recipe.saturation])
    least = np.maximum(0, 1 - spread)
    return Parameters(
        box=_boxes(recipe, draws("crop", 2 * _TRIES), draws("place", 2), aspect),
        flip=draws("flip", 1)[..., 0] < recipe.flip,
        factors=least + (1 + spread - least) * draws("jitter", 3),
        order=np.argsort(draws("order", 3), axis=-1),
    )


def _boxes(
    recipe: Recipe,
    draws: NDArray[np.float64],
    place: NDArray[np.float64],
    aspect: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Boxes `[N, V, 4]`: the first of ten crops that fits, else the greatest one in the middle.

    Args:
        recipe: for areas and ratios.
        draws: uniform `[N, V, 20]`, for areas and ratios.
        place: uniform `[N, V, 2]`, for where.
        aspect: width / height of the pictures `[N, 1]`.
    """
    area = recipe.crop_min + (recipe.crop_max - recipe.crop_min) * draws[..., :_TRIES]
    low, high = np.log(recipe.ratio[0]), np.log(recipe.ratio[1])
    ratio = np.exp(low + (high - low) * draws[..., _TRIES:])
    # a picture of area 1 is sqrt(aspect) wide and 1 / sqrt(aspect) high
    width = np.sqrt(area * ratio / aspect[..., None])
    height = np.sqrt(area / ratio * aspect[..., None])
    fits = (width <= 1) & (height <= 1)
    first = fits.argmax(axis=-1)[..., None]
    shape = np.concatenate([np.take_along_axis(of, first, -1) for of in (width, height)], axis=-1)
    some = fits.any(axis=-1)[..., None]
    low, high = recipe.ratio
    middle = np.stack([np.minimum(1, high / aspect), np.minimum(1, aspect / low)], axis=-1)
    shape = np.where(some, shape, middle)
    start = (1 - shape) * np.where(some, place, 0.5)
    return np.concatenate([start, np.minimum(1, start + shape)], axis=-1)
