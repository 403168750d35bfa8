"""Decoded pictures of one process: rows of a file that nobody else sees."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo import caches, locks
from zoo.data.crc import crc32
from zoo.errors import StorageFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from zoo.data.packs import Kept, Made

SPACE = "Free space, or let ZOO_CACHE name a folder on another disk."
#: how the names of scratch folders begin
_PREFIX = "ingest-"


@contextmanager
def own_folder(scratch: Path) -> Iterator[Path]:
    """A folder for scratch files, removed at the end of the block; those of killed processes go.

    Raises:
        StorageFault: it cannot be made.
    """
    for left in scratch.glob(f"{_PREFIX}*"):
        caches.discard(left)
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=scratch))
    except OSError as error:
        message = f"Cannot make scratch files in {scratch}: {error.strerror or error}."
        raise StorageFault(message, hint=SPACE) from error
    with ExitStack() as stack:
        # a mapping outlives its file's name; where it does not, whoever has mapped it removes it
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        with suppress(OSError):  # without locks nobody can tell that it is left, and it stays
            stack.enter_context(locks.sharing(folder / caches.IN_USE)).admit()
        yield folder


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
        self.row_bytes = int(np.prod(shape))
        self.file = folder / f"{name}.u8"
        self._count = 0

    def find(
        self, digests: Iterable[str], alive: Callable[[], None] = lambda: None
    ) -> dict[str, Kept]:
        """Nothing is known."""
        del digests, alive
        return {}

    def reserve(self, count: int) -> Sequence[int]:
        """So many rows, which are all that there are.

        Raises:
            StorageFault: there is not so much room.
        """
        self._count = count
        size = count * self.row_bytes
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

    def shared(self) -> NDArray[np.uint8]:
        """All rows `[count, *shape]` as they are at each moment, to be read only."""
        return np.memmap(self.file, np.uint8, mode="r", shape=(self._count, *self.shape))


def put(file: Path, start: int, array: NDArray[np.uint8]) -> int:
    """Fill a row of a file, from its first byte on; the CRC-32 of what is to be in it."""
    data = np.ascontiguousarray(array).reshape(-1).data
    with file.open("r+b", buffering=0) as stream:
        stream.seek(start)
        rest = data
        while rest:
            rest = rest[stream.write(rest) or 0 :]
    return crc32(data)
