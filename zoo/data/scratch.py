"""Decoded pictures of one process: rows of a file that nobody else sees."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

import numpy as np

from zoo.errors import StorageFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from zoo.data.packs import Kept, Made

SPACE = "Free space, or let ZOO_CACHE name a folder on another disk."


class Scratch:
    """Rows of one shape, used like a `Pack`, but nothing of them is kept.

    Args:
        folder: for the file.
        name: of the file.
        shape: of a row.
    """

    def __init__(self, folder: Path, name: str, shape: tuple[int, ...]) -> None:
        """Touch nothing yet."""
        self.shape = shape
        self.file = folder / f"{name}.u8"
        self._count = 0

    def find(self, digests: Iterable[str]) -> dict[str, Kept]:
        """Nothing is known."""
        del digests
        return {}

    def reserve(self, count: int) -> Sequence[int]:
        """So many rows, which are all that there are.

        Raises:
            StorageFault: there is not so much room.
        """
        self._count = count
        size = count * int(np.prod(self.shape))
        try:
            with self.file.open("wb") as stream:
                if size and hasattr(os, "posix_fallocate"):
                    # All of it at once: a full disk shows now and not half way.
                    os.posix_fallocate(stream.fileno(), 0, size)
                else:
                    stream.truncate(size)
        except OSError as error:
            why = error.strerror or error
            message = f"{self.file.parent} has no room for {size / 1e9:.1f} GB: {why}."
            raise StorageFault(message, hint=SPACE) from error
        return range(count)

    def keep(self, made: Sequence[Made]) -> None:
        """Nothing is kept."""

    def rows(self) -> NDArray[np.uint8]:
        """All rows `[count, *shape]`; writing to them does not reach the file."""
        if not self._count:
            return np.zeros((0, *self.shape), np.uint8)
        return np.memmap(self.file, np.uint8, mode="c", shape=(self._count, *self.shape))


def put(file: Path, row: int, array: NDArray[np.uint8]) -> int:
    """Fill a row of a file of rows of one shape; the CRC-32 of what is to be in it."""
    data = array.tobytes()
    with file.open("r+b", buffering=0) as stream:
        stream.seek(row * array.nbytes)
        rest = memoryview(data)
        while rest:
            rest = rest[stream.write(rest) or 0 :]
    return zlib.crc32(data)
