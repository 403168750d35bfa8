"""Views of pictures, carried out where the pictures are: a batch is one operation on a device.

A crop is resized with an antialiasing filter, a flip mirrors it, and brightness, contrast and
saturation change its colours in the order that was drawn, as torchvision does each (tests compare
them) but for one thing: levels stay floats until the end, where torchvision cuts them off to whole
ones after every change and so makes the picture darker each time.

On an accelerator a resize is two matrix products, for the whole batch. On a CPU torch's own kernel
for bytes takes an eighth of their time, and a picture fits into a core's cache: there views are
made one by one, so a view's bits are the same in every batch, and changes of colour become one
wherever no level is cut off between them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from zoo.data.augment import CONTRAST, SATURATION
from zoo.training.device import moved

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from zoo.components import Interpolation
    from zoo.data.augment import Parameters

#: what red, green and blue add to grey: ITU-R BT.601, as in PIL and torchvision
GREY = (0.299, 0.587, 0.114)
#: the greatest level
_WHITE = 255.0
#: brightness, contrast and saturation
_TURNS = 3
#: what torch resizes bytes with on a CPU
_KERNELS = frozenset({"bilinear", "bicubic"})


def views(
    canvases: Tensor,
    shapes: NDArray[np.int64],
    parameters: Parameters,
    size: tuple[int, int],
    interpolation: Interpolation,
) -> Tensor:
    """All views of a batch of pictures.

    Args:
        canvases: uint8 `[N, H, W, 3]`, each from the upper left corner on; what lies beyond is
            passed over.
        shapes: (height, width) of each `[N, 2]`.
        parameters: of N x V views.
        size: (height, width) of a view, pixels.
        interpolation: the filter of the resize, antialiased (but `nearest`).

    Returns:
        float32 `[N·V, 3, height, width]`: levels 0 to 255, views of a sample side by side.
    """
    work = planned(parameters, shapes)
    if _in_one(canvases.device):
        levels = by_matrices(canvases, work.crops, work.flips, size, interpolation)
        return _jitter(levels, work)
    count, plain = parameters.flip.shape[1], (np.ones(3), np.zeros(3))
    made = [
        view(canvases[place // count], work, place, size, interpolation, plain)
        for place in range(len(work.crops))
    ]
    return torch.cat(made)


def view(
    canvas: Tensor,
    work: Work,
    place: int,
    size: tuple[int, int],
    interpolation: Interpolation,
    affine: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Tensor:
    """One view of one picture, on a CPU.

    Args:
        canvas: uint8 `[H, W, 3]`, the picture in its upper left corner.
        work: on the views of a batch.
        place: which of them.
        size: (height, width).
        interpolation: the filter of the resize.
        affine: scale and shift of each colour `[3]`: a level comes out as level · scale - shift.

    Returns:
        float32 `[1, 3, height, width]`.
    """
    one = slice(place, place + 1)
    if interpolation in _KERNELS:
        flip = bool(work.flips[place])
        crop = by_kernel(canvas[None], work.crops[place], size, interpolation, flip=flip)
    else:
        picture = canvas[: work.shapes[place, 0], : work.shapes[place, 1]][None]
        crop = by_matrices(picture, work.crops[one], work.flips[one], size, interpolation)
    levels = torch.empty((1, 3, *size)).copy_(crop)
    return _coloured(levels, work, place, affine)


def _in_one(device: torch.device) -> bool:
    """Whether a batch is one operation there, and not one for each picture."""
    return device.type != "cpu"


def by_kernel(
    canvas: Tensor,
    crop: NDArray[np.int64],
    size: tuple[int, int],
    interpolation: Interpolation,
    *,
    flip: bool,
) -> Tensor:
    """A crop of one picture, resized by torch.

    Args:
        canvas: uint8 `[1, H, W, 3]`.
        crop: x0, y0, x1, y1, whole pixels.
        size: (height, width).
        interpolation: `bilinear` or `bicubic`.
        flip: whether to mirror it left to right.

    Returns:
        uint8 `[1, 3, height, width]`.
    """
    x0, y0, x1, y1 = crop.tolist()
    part = canvas[:, y0:y1, x0:x1].permute(0, 3, 1, 2)
    resized = functional.interpolate(part, size, mode=interpolation, antialias=True)
    return resized.flip(-1) if flip else resized


def by_matrices(
    canvases: Tensor,
    crops: NDArray[np.int64],
    flips: NDArray[np.bool_],
    size: tuple[int, int],
    interpolation: Interpolation,
    precision: torch.dtype | None = None,
) -> Tensor:
    """Crops of many pictures, resized by two matrix products each: first the rows, then columns.

    Args:
        canvases: uint8 `[N, H, W, 3]`.
        crops: x0, y0, x1, y1 `[N·V, 4]`, whole pixels.
        flips: whether each is mirrored left to right `[N·V]`.
        size: (height, width).
        interpolation: whose filter.
        precision: of the products; half on CUDA if None: it holds all levels exactly, and weights
            to a two-thousandth.

    Returns:
        float32 `[N·V, 3, height, width]`.
    """
    count, high, wide = canvases.shape[:3]
    device = canvases.device
    if precision is None:
        precision = torch.float16 if device.type == "cuda" else torch.float32
    across, down = (
        _weights(moved(crops[:, [axis, axis + 2]], device), length, side, interpolation)
        for axis, length, side in ((0, size[1], wide), (1, size[0], high))
    )
    across = torch.where(moved(flips, device)[:, None, None], across.flip(1), across)
    lines = canvases.reshape(count, high, -1).to(precision)
    rows = down.to(precision).view(count, -1, high) @ lines
    planes = rows.view(len(crops), size[0], wide, 3).permute(0, 3, 1, 2)
    resized = planes @ across.to(precision).mT[:, None]
    return resized.float().clamp_(0, _WHITE)


def _weights(edges: Tensor, length: int, side: int, interpolation: Interpolation) -> Tensor:
    """How much each of S pixels of a canvas counts in each of a resized crop's.

    As in Pillow and torch: where a crop gets smaller, the filter is stretched to cover it, and what
    lies beyond the crop does not count.

    Args:
        edges: first pixel of each crop, and the one after its last `[M, 2]`.
        length: of the resized crop.
        side: S.
        interpolation: whose filter.

    Returns:
        float32 `[M, length, S]`; the sum over S is 1.
    """
    start, end = edges[:, :1, None], edges[:, 1:, None]
    pixels = torch.arange(side, device=edges.device)
    places = torch.arange(length, device=edges.device)[:, None]
    # From a pixel's centre to the middle of what it is of, in whole numbers: none is off by a
    # rounding where a box has its edge.
    apart = (2 * (pixels - start) + 1) * length - (end - start) * (2 * places + 1)
    reach = (end - start).clamp(min=length) if interpolation != "nearest" else length
    weight = _FILTERS[interpolation](apart / (2 * reach))
    weight = weight * ((pixels >= start) & (pixels < end))
    return weight / weight.sum(-1, keepdim=True)


def _box(x: Tensor) -> Tensor:
    return ((x > -0.5) & (x <= 0.5)).float()  # noqa: PLR2004 - half a pixel


def _triangle(x: Tensor) -> Tensor:
    return (1 - x.abs()).clamp(min=0)


def _cubic(x: Tensor) -> Tensor:
    """Keys' cubic convolution with a = -1/2."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, far) * (x < 2)  # noqa: PLR2004 - two pixels


def _hamming(x: Tensor) -> Tensor:
    return torch.sinc(x) * (0.54 + 0.46 * torch.cos(math.pi * x)) * (x.abs() < 1)


def _lanczos(x: Tensor) -> Tensor:
    return torch.sinc(x) * torch.sinc(x / 3) * (x.abs() < 3)  # noqa: PLR2004 - three pixels


#: weights by the distance from a pixel's centre, as Pillow defines them
_FILTERS: dict[Interpolation, Callable[[Tensor], Tensor]] = {
    "nearest": _box,
    "box": _box,
    "bilinear": _triangle,
    "hamming": _hamming,
    "bicubic": _cubic,
    "lanczos": _lanczos,
}


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done for M views.

    Colour jitter is an affine map of (red, green, blue) for each of three turns, each of which
    blends the picture with a plainer one: brightness with black, contrast with the mean of its grey
    levels, saturation with its grey picture.

    Args:
        shapes: (height, width) of each one's picture `[M, 2]`.
        crops: x0, y0, x1, y1 `[M, 4]`, whole pixels.
        flips: whether each is mirrored left to right `[M]`.
        mixes: `[M, 3, 3, 3]`: the matrix of each turn.
        pulls: `[M, 3]`: the share of the mean grey level that each turn adds.
        cuts: whether a turn may leave 0..255 `[M, 3]`: a blend lies between the two.
    """

    shapes: NDArray[np.int64]
    crops: NDArray[np.int64]
    flips: NDArray[np.bool_]
    mixes: NDArray[np.float64]
    pulls: NDArray[np.float64]
    cuts: NDArray[np.bool_]


def planned(parameters: Parameters, shapes: NDArray[np.int64]) -> Work:
    """What the parameters of N x V views come to.

    Args:
        parameters: drawn.
        shapes: (height, width) of each picture `[N, 2]`.
    """
    order = parameters.order.reshape(-1, _TURNS)
    factors = np.take_along_axis(parameters.factors.reshape(-1, _TURNS), order, axis=1)
    rest = 1 - factors
    mixes = factors[..., None, None] * np.eye(3)
    mixes += (rest * (order == SATURATION))[..., None, None] * np.array(GREY)
    return Work(
        shapes=shapes.repeat(parameters.flip.shape[1], axis=0),
        crops=parameters.crops(shapes).reshape(-1, 4),
        flips=parameters.flip.reshape(-1),
        mixes=mixes,
        pulls=rest * (order == CONTRAST),
        cuts=factors > 1,
    )


def _jitter(levels: Tensor, work: Work) -> Tensor:
    """Change the colours of M pictures in three turns, each cut to 0..255.

    Args:
        levels: 0 to 255, float32 `[M, 3, height, width]`; overwritten.
        work: on these pictures.
    """
    if not work.pulls.any() and (work.mixes == np.eye(3)).all():
        return levels
    matrices, shares, grey = (
        moved(np.asarray(array, np.float32), levels.device)
        for array in (work.mixes, work.pulls, GREY)
    )
    source, target = levels.flatten(2), torch.empty_like(levels).flatten(2)
    for turn in range(_TURNS):
        matrix = matrices[:, turn]
        if work.pulls[:, turn].any():
            shift = shares[:, turn] * (source.mean(2) @ grey)
            torch.baddbmm(shift[:, None, None], matrix, source, out=target)
        else:
            torch.bmm(matrix, source, out=target)
        target.clamp_(0, _WHITE)
        source, target = target, source
    return source.view_as(levels)


def _coloured(
    levels: Tensor,
    work: Work,
    place: int,
    affine: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Tensor:
    """What `_jitter` does, for one picture in as few passes as there are turns to cut after.

    Turns in between are put together, since the mean of what an affine map makes is the map of the
    mean; and so is the last of them with what comes after it.

    Args:
        levels: 0 to 255, float32 `[1, 3, height, width]`; overwritten.
        work: on a batch.
        place: of the picture in it.
        affine: scale and shift of each colour: see `view`.
    """
    source, target = levels.view(3, -1), torch.empty_like(levels).view(3, -1)
    scale, shift = affine
    matrix, added, mean = np.eye(3), np.zeros(3), None
    for turn in range(_TURNS):
        mix, pull, cut = (of[place, turn] for of in (work.mixes, work.pulls, work.cuts))
        pulled = 0.0
        if pull:
            mean = source.mean(1).numpy() if mean is None else mean
            pulled = pull * np.dot(GREY, matrix @ mean + added)
        matrix, added = mix @ matrix, mix @ added + pulled
        last = turn == _TURNS - 1
        if last:
            matrix, added = scale[:, None] * matrix, scale * added - shift
        elif not cut:
            continue
        turned, shifted = (torch.from_numpy(of.astype(np.float32)) for of in (matrix, added))
        torch.addmm(shifted[:, None], turned, source, out=target)
        if cut and last:
            # One number for all is quicker than a tensor of three.
            for plane, least, most in zip(target, -shift, _WHITE * scale - shift, strict=True):
                plane.clamp_(float(least), float(most))
        elif cut:
            target.clamp_(0, _WHITE)
        source, target = target, source
        matrix, added, mean = np.eye(3), np.zeros(3), None
    return source.view_as(levels)
