from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twenty small pictures, two of which cannot be decoded."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    paths = [folder / f"{number:02}.png" for number in range(20)]
    for number, path in enumerate(paths):
        values = random.integers(0, 256, (20 + number, 30, 3), np.uint8)
        Image.fromarray(values).save(path)
    paths[4].write_bytes(b"")
    paths[11].write_bytes(paths[10].read_bytes()[:200])
    return paths
