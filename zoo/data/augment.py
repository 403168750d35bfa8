"""Random views of a picture: resized crop, flip, colour jitter; pure functions of what they are of.

What is drawn depends on (seed, phase, epoch, sample, view) alone, so the same view has the same
bytes in every batch, thread and resumed run. The distributions are those of torchvision's
`RandomResizedCrop`, `RandomHorizontalFlip` and `ColorJitter` (without hue).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageEnhance

from zoo.data.draws import uniform
from zoo.data.preprocess import resampling

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from zoo.components import Interpolation

#: how often a crop is drawn before the middle is taken, as in torchvision
_TRIES = 10
#: in the order of the factors of `Parameters`
_JITTERS = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


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
class View:
    """One view's parameters: box (x0, y0, x1, y1) in 0..1, flip, jitter factors and their order."""

    box: tuple[float, float, float, float]
    flip: bool
    factors: tuple[float, float, float]
    order: tuple[int, int, int]


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

    def one(self, sample: int, view: int) -> View:
        """The parameters of one view."""
        place = sample, view
        return View(
            box=tuple(self.box[place].tolist()),
            flip=bool(self.flip[place]),
            factors=tuple(self.factors[place].tolist()),
            order=tuple(self.order[place].tolist()),
        )


def draw(  # noqa: PLR0913 - what a draw is a function of
    recipe: Recipe,
    *,
    seed: int,
    phase: str,
    epoch: int,
    samples: ArrayLike,
    views: int | ArrayLike,
    aspects: ArrayLike,
) -> Parameters:
    """The parameters of views of each sample.

    Args:
        recipe: the distributions.
        seed: the run's (or a fixed one, for views that several runs share).
        phase: the phase's name.
        epoch: from 0 within the phase.
        samples: sample ids `[N]`.
        views: V, for the views 0 to V - 1; or the views' numbers `[V]`.
        aspects: true width / height of each sample's picture `[N]`.
    """
    ids = np.asarray(samples)[:, None, None]
    numbers = np.atleast_1d(np.arange(views) if isinstance(views, int) else views)[None, :, None]
    aspect = np.asarray(aspects, np.float64)[:, None]

    def draws(purpose: str, count: int) -> NDArray[np.float64]:
        return uniform(seed, f"{phase}/{purpose}", epoch, ids, numbers, np.arange(count))

    spread = np.array([recipe.brightness, recipe.contrast, recipe.saturation])
    least = np.maximum(0, 1 - spread)
    return Parameters(
        box=_boxes(recipe, draws("crop", 2 * _TRIES), draws("place", 2), aspect),
        flip=draws("flip", 1)[..., 0] < recipe.flip,
        factors=least + (1 + spread - least) * draws("jitter", 3),
        order=np.argsort(draws("order", 3), axis=-1),
    )


def apply(
    canvas: NDArray[np.uint8],
    view: View,
    size: tuple[int, int],
    interpolation: Interpolation,
) -> NDArray[np.uint8]:
    """One view of a canvas.

    Args:
        canvas: uint8 `[S, S, 3]`.
        view: its parameters.
        size: (height, width) of the view, pixels.
        interpolation: the filter of the resize, antialiased.

    Returns:
        uint8 `[height, width, 3]`.
    """
    height, width = canvas.shape[:2]
    x0, y0, x1, y1 = view.box
    image = Image.fromarray(canvas).resize(
        (size[1], size[0]),
        resampling(interpolation),
        box=(x0 * width, y0 * height, x1 * width, y1 * height),
    )
    if view.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for which in view.order:
        if view.factors[which] != 1:
            image = _JITTERS[which](image).enhance(view.factors[which])
    return np.asarray(image)


def views(
    canvases: NDArray[np.uint8],
    rows: ArrayLike,
    parameters: Parameters,
    size: tuple[int, int],
    interpolation: Interpolation,
    threads: int = 1,
) -> NDArray[np.uint8]:
    """All views of a batch; Pillow lets threads work at the same time.

    Args:
        canvases: uint8 `[M, S, S, 3]`.
        rows: which canvas each of the N samples has `[N]`.
        parameters: of N x V views.
        size: (height, width), pixels.
        interpolation: the filter of the resize.
        threads: how many work at once; the result does not depend on it.

    Returns:
        uint8 `[N, V, height, width, 3]`.
    """
    places = np.asarray(rows)
    count = parameters.flip.shape[1]
    made = np.empty((len(places), count, *size, 3), np.uint8)

    def fill(sample: int) -> None:
        canvas = np.ascontiguousarray(canvases[places[sample]])
        for number in range(count):
            made[sample, number] = apply(
                canvas, parameters.one(sample, number), size, interpolation
            )

    if threads <= 1:
        for sample in range(len(places)):
            fill(sample)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, range(len(places))))
    return made


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
