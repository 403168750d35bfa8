"""Where a data set's decoded pictures are kept, and for how many more there is room."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import PIL

from zoo import caches
from zoo.data import canvas
from zoo.data.packs import Pack
from zoo.data.preprocess import RULE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from zoo.components import Preprocess


def packs(preprocess: Preprocess, canvas_side: int) -> tuple[Pack, Pack]:
    """The packs of pixels and of canvases; what their rows depend on is their recipe."""
    geometry = asdict(preprocess)
    recipe = {name: value for name, value in geometry.items() if name not in {"mean", "std"}}
    if preprocess.crop == "border":
        recipe["mean"] = geometry["mean"]  # what the border is filled with
    decoder = {"pillow": PIL.__version__}
    of_canvases = {"kind": "canvas", "side": canvas_side, "rule": canvas.RULE, **decoder}
    filled = partial(canvas.filled, side=canvas_side)
    return (
        Pack({"kind": "pixels", **recipe, "rule": RULE, **decoder}, (*preprocess.size, 3)),
        Pack(of_canvases, (canvas.row_bytes(canvas_side),), filled),
    )


def left_over(
    preprocess: Preprocess,
    canvas_side: int,
    wants: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    digests: Sequence[str],
) -> NDArray[np.bool_]:
    """Which pictures a run would find no room for: they are decoded whenever they are needed.

    Nothing is made or looked at but the indices of what is kept.

    Args:
        preprocess: how pixels are made.
        canvas_side: of the canvases, pixels.
        wants: whose pixels, and whose canvas, are wanted `[N]`.
        digests: SHA-256 of the files, hex `[N]`.

    Returns:
        Of the pixels and of the canvases `[2, N]`.
    """
    shelves = packs(preprocess, canvas_side)
    room = caches.room(pack.folder for pack in shelves)
    left = np.zeros((2, len(digests)), bool)
    for pack, wanted, without in zip(shelves, wants, left, strict=True):
        kept = pack.named()
        lacking = np.flatnonzero(wanted & [digest not in kept for digest in digests])
        most = room // pack.row_bytes
        without[lacking[most:]] = True
        room -= min(most, len(lacking)) * pack.row_bytes
    return left
