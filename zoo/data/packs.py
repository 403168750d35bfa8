"""Decoded pictures, kept in the user's cache folder by the hash of the file that they came from.

A pack holds uint8 rows of one shape, made by one recipe, in one file that only grows. A row counts
once a line of `index.jsonl` says so, which happens after the row is on the disk; so a killed run
leaves whole rows, and room that the next run which finds the pack unused gives out again. Runs
that work at the same time fill rows of their own, none waiting for another, and share a lock by
which nobody removes the pack meanwhile. Each line carries a hash of its own, and the CRC-32 that
the maker of a row took of it is compared before the row is used: damage costs decoding the picture
again.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from itertools import count as counted
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo import caches, folders, locks
from zoo.data import sealed
from zoo.data.crc import crc32
from zoo.data.scratch import SPACE
from zoo.errors import StorageFault
from zoo.files import append_line, crash_point, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from io import BufferedWriter
    from pathlib import Path

    from numpy.typing import NDArray

SCHEMA = 2
#: so many rows are compared between two looks whether to stop: from a slow disk, some seconds
AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Kept:
    """A picture in a pack: its row, and the true (width, height) of the upright picture, pixels."""

    row: int
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Made:
    """A row that was filled.

    Args:
        digest: SHA-256 of the picture's file, hex.
        row: that was filled.
        size: true (width, height) of the upright picture, pixels.
        crc: CRC-32 of what was put into the row, by whoever did.
    """

    digest: str
    row: int
    size: tuple[int, int]
    crc: int


class Pack:
    """Rows of one recipe.

    Args:
        recipe: everything that decides a row beside the picture's bytes; JSON types.
        shape: of a row.
        filled: how many bytes of its row a picture of some (width, height) takes; None for all.
    """

    def __init__(
        self,
        recipe: Mapping[str, Any],
        shape: tuple[int, ...],
        filled: Callable[[tuple[int, int]], int] | None = None,
    ) -> None:
        """Touch nothing yet."""
        self.shape = shape
        self._filled = filled
        self.row_bytes = int(np.prod(shape))
        self._recipe = {"schema": SCHEMA, "shape": list(shape), **recipe}
        name = hashlib.sha256(json.dumps(self._recipe, sort_keys=True).encode()).hexdigest()
        self.folder: Path = folders.cache() / "pictures" / name[:32]
        self.file, self._index = self.folder / "rows.u8", self.folder / "index.jsonl"
        self._share: locks.Share | None = None
        self._refusal = OSError("nobody has it in use")
        self._left = 0  # how many rows, from the first, are nobody's where no line names them

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let nobody remove it, from looking for rows until they are kept and mapped.

        What is kept can be found where nothing can be locked, too; rows are not to be had there.

        Raises:
            StorageFault: it was removed all the same.
        """
        with ExitStack() as stack:
            try:
                self._share = stack.enter_context(locks.sharing(self.folder / caches.IN_USE))
                # Rows that no line ever named were reserved by runs that were killed, if nobody
                # else is here; whoever comes from now on reserves rows behind these.
                self._left = self._count() if self._share.alone else 0
                self._share.admit()
            except OSError as error:
                self._refusal = error
            try:
                yield
                if self._share and not self._share.lasts():
                    message = f"{self.folder} was removed while pictures were decoded into it."
                    raise StorageFault(message, hint="Try again.")
            finally:
                self._share = None

    def named(self) -> set[str]:
        """SHA-256 of the files of all rows that the index names, whole or not."""
        return {one.digest for one in self._said()}

    def find(
        self, digests: Iterable[str], alive: Callable[[], None] = lambda: None
    ) -> dict[str, Kept]:
        """Those pictures whose rows are here and whole.

        Args:
            digests: SHA-256 of the files, hex.
            alive: called now and then; may raise to stop.
        """
        said = {one.digest: one for one in self._said()}
        known = [said[digest] for digest in set(digests) if digest in said]
        if not known:
            return {}
        caches.used(self.folder)
        rows = self.rows()
        found: dict[str, Kept] = {}
        for place, one in enumerate(known):
            if not place % AT_ONCE:
                alive()
            if one.row < len(rows) and crc32(self._part(one, rows).data) == one.crc:
                found[one.digest] = Kept(one.row, one.size)
        return found

    def _part(self, one: Made, rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The part of a row that is the picture's."""
        row = rows[one.row].reshape(-1)
        return row[: self._filled(one.size)] if self._filled else row

    def reserve(self, count: int) -> Sequence[int]:
        """So many rows to fill, while it is in use.

        Raises:
            StorageFault: there is not so much room, or nothing can be locked there.
        """
        if count and not self._share:
            why = self._refusal.strerror or self._refusal
            message = f"Cannot lock {self.folder} to keep decoded pictures in it: {why}."
            hint = "Let ZOO_CACHE name a folder on another disk."
            raise StorageFault(message, hint=hint) from self._refusal
        try:
            return self._reserved(count) if count else ()
        except OSError as error:
            why = error.strerror or error
            size = count * self.row_bytes
            message = f"{self.folder} has no room for {size / 1e9:.1f} GB: {why}."
            raise StorageFault(message, hint=SPACE) from error

    def _reserved(self, count: int) -> list[int]:
        if not (self.folder / "recipe.json").exists():
            write_json(self.folder / "recipe.json", self._recipe)
        with self._locked(), self.file.open("ab") as stream:
            end = self._count()
            # Those of older lines are taken: a run of this moment may have mapped them.
            taken = {one.row for one in self._said()}
            mine = chain(range(self._left), counted(end))
            rows = [*islice((row for row in mine if row not in taken), count)]
            self._grow(stream, end, max(end, rows[-1] + 1))
            self._left = 0
        return rows

    def _count(self) -> int:
        """How many rows the file has, the last of which may be cut short."""
        return -(-self.file.stat().st_size // self.row_bytes) if self.file.exists() else 0

    def _grow(self, stream: BufferedWriter, end: int, new_end: int) -> None:
        """Room for rows up to another end, all at once: a full disk shows now, not half way."""
        stream.truncate(end * self.row_bytes)  # a file that was cut short, to whole rows
        new = (new_end - end) * self.row_bytes
        if new and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(stream.fileno(), end * self.row_bytes, new)
        else:
            stream.truncate(new_end * self.row_bytes)

    def keep(self, made: Sequence[Made]) -> None:
        """Have rows on the disk, and say so.

        Args:
            made: rows that are filled; all of them, also where two are of one picture.

        Raises:
            StorageFault: they cannot be kept.
        """
        if not made:
            return
        crash_point(f"before rows of {self.folder.name}")
        line = sealed.line([[one.digest, one.row, *one.size, one.crc] for one in made])
        try:
            with self.file.open("rb") as stream:
                os.fsync(stream.fileno())
            with self._locked():
                append_line(self._index, line)
        except OSError as error:
            message = f"Cannot keep decoded pictures in {self.folder}: {error.strerror or error}."
            raise StorageFault(message, hint=SPACE) from error

    def rows(self) -> NDArray[np.uint8]:
        """All rows `[m, *shape]`, mapped; writing to them does not reach the file."""
        count = self.file.stat().st_size // self.row_bytes if self.file.exists() else 0
        if not count:
            return np.zeros((0, *self.shape), np.uint8)
        return np.memmap(self.file, np.uint8, mode="c", shape=(count, *self.shape))

    def _said(self) -> list[Made]:
        """What the index says, oldest first; lines that are damaged or cut short are left out."""
        return [
            Made(digest, row, (width, height), crc)
            for digest, row, width, height, crc in sealed.entries(self._index)
        ]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with locks.waiting(self.folder / "lock"):
            yield
