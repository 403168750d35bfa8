"""Hashes of files, and those of an earlier run remembered for as long as a file is unchanged.

A file counts as unchanged when its size, its inode and its times of modification and of status
change are those that it had when it was hashed. The last of them is the system's and cannot be set
back, so a file that was replaced with its old size and date is noticed too. A file that changed
within two seconds of being hashed is not remembered, since some clocks of file systems are too
coarse to tell two changes in one moment apart.

What is remembered lies in the user's cache folder, in one file for each data folder (see
`zoo.data.sealed`): damage and lines cut short cost hashing some files again.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from typing import TYPE_CHECKING

from zoo import folders, locks
from zoo.data import sealed
from zoo.errors import StorageFault
from zoo.files import append_line, write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA = 1
#: a file that changed this shortly before it was hashed may change once more unseen, nanoseconds
UNSETTLED_NS = 2_000_000_000
#: what is new is written this often, seconds: what a kill costs at most
KEEP_SECONDS = 10.0

#: size in bytes, times of modification and of status change in nanoseconds, inode
Stamp = tuple[int, int, int, int]


def hashed(path: Path) -> tuple[str, Stamp | None]:
    """The SHA-256 of a regular file, hex, and its stamp; None if it may yet change under the same.

    The hash is `""` where there is no regular file or it cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return "", None  # reading a pipe or a device could wait for ever
        with path.open("rb") as stream:
            began = time.time_ns()
            before = _stamp(os.fstat(stream.fileno()))
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            after = _stamp(os.fstat(stream.fileno()))
    except OSError:
        return "", None
    settled = began - max(before[1], before[2]) >= UNSETTLED_NS
    return digest, before if settled and before == after else None


class Hashes:
    """The hashes of a data folder's files: looked up where they are known, else taken.

    Attributes:
        taken: how many files were hashed and not looked up.
    """

    def __init__(self, root: Path) -> None:
        """Read what is remembered of the files below `root`."""
        name = hashlib.sha256(f"{SCHEMA}:{root.absolute()}".encode("utf-8", "surrogateescape"))
        self._file = folders.cache() / "hashes" / f"{name.hexdigest()[:32]}.jsonl"
        self._known, self._lines = _read(self._file)
        self._new: dict[str, tuple[Stamp, str]] = {}
        self._lock = threading.Lock()
        self._kept = time.monotonic()
        self.taken = 0

    def digest(self, path: Path) -> str:
        """The SHA-256 of a file, hex; `""` where it cannot be read. Threads may share this."""
        name = str(path.absolute())
        try:
            now = _stamp(path.stat())
        except OSError:
            return ""
        then, digest = self._known.get(name, (None, ""))
        if now == then:
            return digest
        digest, stamp = hashed(path)
        with self._lock:
            self.taken += 1
            if stamp:
                self._new[name] = stamp, digest
        return digest

    def keep(self, every: float = 0.0) -> None:
        """Have what is new on the disk; where the cache cannot be written, forget it.

        Args:
            every: do nothing if the last time is not so long ago, seconds.
        """
        if time.monotonic() - self._kept < every:
            return
        with self._lock:
            new = self._new
            self._new = {}
        self._kept = time.monotonic()
        if not new:
            return
        self._known |= new
        self._lines += len(new)
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with locks.waiting(self._file.with_suffix(".lock")):
                if self._lines > 2 * len(self._known):  # most of it is of files that changed since
                    write_text(self._file, f"{_line(self._known)}\n")
                    self._lines = len(self._known)
                else:
                    append_line(self._file, _line(new))
        except (OSError, StorageFault):
            return


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _line(entries: Mapping[str, tuple[Stamp, str]]) -> str:
    return sealed.line([[name, *stamp, digest] for name, (stamp, digest) in entries.items()])


def _read(file: Path) -> tuple[dict[str, tuple[Stamp, str]], int]:
    """What is remembered, and how many entries it is spread over, later ones replacing earlier."""
    known: dict[str, tuple[Stamp, str]] = {}
    count = 0
    for name, size, modified, changed, inode, digest in sealed.entries(file):
        known[name] = (size, modified, changed, inode), digest
        count += 1
    return known, count
