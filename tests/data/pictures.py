"""Twenty small files and what is made of them: for the tests of everything that reads pictures."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from zoo.components import Preprocess
from zoo.data.ingest import Images, ingest

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = Preprocess(size=(16, 24), resize=(20, 30))


def take(paths: list[Path], scratch: Path, **options: Any) -> Images:  # noqa: ANN401 - passed on
    wants: dict[str, Any] = {
        "want_pixels": [place % 2 == 0 for place in range(len(paths))],
        "want_canvas": [place % 3 != 0 for place in range(len(paths))],
    }
    return ingest(paths, preprocess=RECIPE, canvas_side=8, scratch=scratch, **{**wants, **options})


def same(one: Images, two: Images) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(two, name))
        for name in ("pixels", "pixels_row", "canvases", "canvas_row", "sizes", "aspects")
    )


def hashes(paths: list[Path]) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def smooth_jpeg(path: Path, width: int, height: int) -> Path:
    waves = (
        np.sin(np.arange(width) / 40)[None, :, None] + np.cos(np.arange(height) / 30)[:, None, None]
    )
    values = np.broadcast_to(127 + 60 * waves, (height, width, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "JPEG", quality=95)
    path.write_bytes(stream.getvalue())
    return path
