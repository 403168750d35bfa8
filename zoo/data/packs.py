"""Decoded pictures, kept in the user's cache folder by the hash of the file that they came from.

A pack holds uint8 rows of one shape, made by one recipe, in one file that only grows. A row counts
once `index.jsonl` says so, which happens after the row is on the disk; so a killed run leaves whole
rows and unused room, and runs that work at the same time fill rows of their own. Each row's CRC-32
is compared before the row is used: damage costs decoding the picture again.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo import caches, folders, locks
from zoo.data.scratch import SPACE
from zoo.errors import StorageFault
from zoo.files import append_line, crash_point, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Kept:
    """A picture in a pack: its row, and the true (width, height) of the upright picture, pixels."""

    row: int
    size: tuple[int, int]


class Pack:
    """Rows of one recipe.

    Args:
        recipe: everything that decides a row beside the picture's bytes; JSON types.
        shape: of a row.
    """

    def __init__(self, recipe: Mapping[str, Any], shape: tuple[int, ...]) -> None:
        """Touch nothing yet."""
        self.shape = shape
        self.row_bytes = int(np.prod(shape))
        self._recipe = {"schema": SCHEMA, "shape": list(shape), **recipe}
        name = hashlib.sha256(json.dumps(self._recipe, sort_keys=True).encode()).hexdigest()
        self.folder: Path = folders.cache() / "pictures" / name[:32]
        self.file, self._index = self.folder / "rows.u8", self.folder / "index.jsonl"

    def find(self, digests: Iterable[str]) -> dict[str, Kept]:
        """Those pictures whose rows are here and whole.

        Args:
            digests: SHA-256 of the files, hex.
        """
        said = self._said()
        known = {digest: said[digest] for digest in set(digests) if digest in said}
        if not known:
            return {}
        caches.used(self.folder)
        rows = self.rows()
        return {
            digest: kept
            for digest, (kept, crc) in known.items()
            if kept.row < len(rows) and zlib.crc32(rows[kept.row]) == crc
        }

    def reserve(self, count: int) -> int:
        """Room for so many rows; returns the first of them.

        Raises:
            StorageFault: there is not so much room.
        """
        if not count:
            return 0
        size = count * self.row_bytes
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / "recipe.json").exists():
                write_json(self.folder / "recipe.json", self._recipe)
            with self._locked(), self.file.open("ab") as stream:
                first = -(-stream.tell() // self.row_bytes)
                stream.truncate(first * self.row_bytes)
                if hasattr(os, "posix_fallocate"):
                    # All of it at once: a full disk shows now and not half way.
                    os.posix_fallocate(stream.fileno(), first * self.row_bytes, size)
                else:
                    stream.truncate((first + count) * self.row_bytes)
        except OSError as error:
            why = error.strerror or error
            message = f"{self.folder} has no room for {size / 1e9:.1f} GB: {why}."
            raise StorageFault(message, hint=SPACE) from error
        return first

    def keep(self, made: Mapping[str, Kept]) -> None:
        """Have rows on the disk, and say so.

        Args:
            made: rows that are filled, by the SHA-256 of the file that each came from.

        Raises:
            StorageFault: they cannot be kept.
        """
        if not made:
            return
        crash_point(f"before rows of {self.folder.name}")
        with self.file.open("rb") as stream:
            os.fsync(stream.fileno())
        rows = self.rows()
        said = [
            [digest, kept.row, *kept.size, zlib.crc32(rows[kept.row])]
            for digest, kept in made.items()
        ]
        with self._locked():
            append_line(self._index, json.dumps(said))

    def rows(self) -> NDArray[np.uint8]:
        """All rows `[m, *shape]`, mapped; writing to them does not reach the file."""
        count = self.file.stat().st_size // self.row_bytes if self.file.exists() else 0
        if not count:
            return np.zeros((0, *self.shape), np.uint8)
        return np.memmap(self.file, np.uint8, mode="c", shape=(count, *self.shape))

    def _said(self) -> dict[str, tuple[Kept, int]]:
        """What the index says; lines that were cut short, and all that is no entry, left out."""
        found: dict[str, tuple[Kept, int]] = {}
        try:
            lines = self._index.read_bytes().splitlines()
        except OSError:
            return found
        for line in lines:
            try:
                for digest, row, width, height, crc in json.loads(line):
                    if row >= 0:
                        found[digest] = Kept(row, (width, height)), crc
            except (ValueError, TypeError, RecursionError):
                continue
        return found

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with locks.waiting(self.folder / "lock"):
            yield
