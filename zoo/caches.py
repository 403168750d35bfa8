"""What zoo keeps in the user's cache folder: how much it is, and how to be rid of it.

All of it can be made or fetched again. A part into which somebody is writing at this moment is
locked by it, and left alone. What a run has mapped stays readable for it after its name is gone.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import folders, locks
from zoo.errors import UsageError
from zoo.files import TRASH, UNFINISHED, remove_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

ABOUT = {
    "catalog": "what the installed plugins offer",
    "compiled": "kernels of compiled networks",
    "features": "what frozen backbones made of images",
    "hashes": "hashes of files that have not changed since",
    "pictures": "images of data sets, decoded",
    "scratch": "what a process decodes for itself, until it ends",
    "weights": "downloaded weights",
}
#: the cache whose parts are of no use when their process has ended
SCRATCH = "scratch"
#: what grows with use, and whose parts go when it is too much
_GROWING = ("features", "pictures")
#: what consists of parts that somebody may be writing into
_PARTED = (*_GROWING, SCRATCH)
#: the file in a part that whoever writes into it shares (see `locks.sharing`)
IN_USE = "in-use"
#: what was left unfinished so long ago belongs to a process that was killed, seconds
LEFT_SECONDS = 3600.0
#: a cache folder that no file can be made in, since somebody else decides about it
_NOT_OURS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT, errno.EEXIST}
#: caches that are of use to whoever can but read them
_READ_ONLY = ("features", "weights")
#: how much of that is kept, bytes; the variable says it in GB
LIMIT, LIMIT_VARIABLE = 50e9, "ZOO_CACHE_LIMIT"
#: how much of the disk pictures leave free, bytes
RESERVE = 2e9


@dataclass(frozen=True, slots=True)
class Cache:
    """One folder (or file) of the cache folder.

    Args:
        name: of it.
        about: what is in it.
        bytes: that its files take.
        files: how many they are.
    """

    name: str
    about: str
    bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class Cleared:
    """What came of clearing.

    Args:
        bytes: that were freed.
        in_use: the parts that were left alone, for somebody is writing into them.
    """

    bytes: int
    in_use: tuple[str, ...]


@contextmanager
def usable(say: Callable[[str], None]) -> Iterator[None]:
    """Within the block there is a cache folder that can be written: the user's, or one for now.

    What is known in the user's own, if that can at least be read, is found in the other one too.

    Args:
        say: told where the user's cannot be written; nothing is kept then.
    """
    place = folders.cache()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        if error.errno not in _NOT_OURS:  # a full disk is told where it matters
            yield
            return
        why = error.strerror
    else:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="zoo-cache-", ignore_cleanup_errors=True) as temp:
        say(f"cache: {place} cannot be written ({why}); nothing is kept for later runs")
        for name in _READ_ONLY:
            if (place / name).is_dir():
                Path(temp, name).symlink_to((place / name).absolute())
        with _cached_in(temp):
            yield


@contextmanager
def _cached_in(folder: str) -> Iterator[None]:
    """Within the block that is the cache folder, for this process and for those that it starts."""
    before = os.environ.get("ZOO_CACHE")
    os.environ["ZOO_CACHE"] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ["ZOO_CACHE"]
        else:
            os.environ["ZOO_CACHE"] = before


def caches() -> tuple[Cache, ...]:
    """All that is in the cache folder, by name."""
    place = folders.cache()
    return tuple(_measured(one) for one in sorted(place.iterdir())) if place.is_dir() else ()


def caches_named(names: Collection[str]) -> tuple[Cache, ...]:
    """Those of these names that are in the cache folder; all of them if none is named.

    Raises:
        UsageError: there is no cache of that name.
    """
    there = caches()
    known = {one.name for one in there} | {*ABOUT}
    if unknown := [name for name in names if name not in known]:
        raise UsageError(
            f"There is no cache called {', '.join(unknown)}.",
            hint=f"There is: {', '.join(one.name for one in there) or 'none'}",
        )
    return tuple(one for one in there if not names or one.name in names)


def clear(names: Collection[str] = ()) -> Cleared:
    """Remove caches; all of them if none is named.

    Raises:
        UsageError: there is no cache of that name; nothing is removed.
    """
    found = caches_named(names)
    place = folders.cache()
    held = sum(one.bytes for one in found if not _is_mere_link(place / one.name))
    left = [part for one in found for part in _remove(place / one.name)]
    freed = held - sum(_measured(part).bytes for part in left)
    return Cleared(max(0, freed), tuple(str(part.relative_to(place)) for part in left))


def limit() -> float:
    """How much is kept of what grows, bytes: `LIMIT`, or `$ZOO_CACHE_LIMIT` in GB.

    Raises:
        UsageError: that is no size.
    """
    told = os.environ.get(LIMIT_VARIABLE, "")
    try:
        most = float(told) * 1e9 if told else LIMIT
    except ValueError:
        most = math.nan
    if not most >= 0:  # nor is "nan" a size
        raise UsageError(f"{LIMIT_VARIABLE}={told!r} is no size.", hint="Write GB, such as 20.")
    return most


def room(parts: Iterable[Path]) -> int:
    """How many bytes may be added to some parts: what they leave of the limit, and the disk's free.

    The limit is theirs alone, since at its end a run prunes what was not used for longer.
    """
    taken = sum(_measured(part).bytes for part in parts if part.is_dir())
    place = folders.cache()
    there = next(one for one in (place, *place.absolute().parents) if one.exists())
    free = shutil.disk_usage(there).free - RESERVE
    return int(max(0, min(limit() - taken, free)))


def grown() -> int:
    """Bytes of what grows with use, which the limit bounds."""
    return sum(size for _, size, _ in _parts())


def prune() -> int:
    """Remove what has not been used for longest, until what grows is within its limit.

    What is in use stays, and what killed processes left unfinished goes.

    Returns:
        How many bytes went for the limit's sake.
    """
    most = limit()
    _sweep()
    parts = sorted(_parts(), key=lambda part: part[0])
    total, freed = sum(size for _, size, _ in parts), 0
    for _, size, path in parts:
        if total - freed <= most:
            break
        if discard(path):
            freed += size
    return freed


def discard(part: Path) -> bool:
    """Remove a part of a cache if nobody is using it; whether it is gone."""
    with locks.alone(part / IN_USE) as free:
        if free:
            remove_folder(part)
    return not part.exists()


def used(folder: Path) -> None:
    """Note that a part of a cache is of use today; where it cannot be noted, nothing happens."""
    try:
        os.utime(folder)
    except OSError:
        return


def _parts() -> Iterator[tuple[float, int, Path]]:
    """Last use, bytes and folder of each part of what grows."""
    for name in _GROWING:
        place = folders.cache() / name
        for path in place.iterdir() if place.is_dir() else ():
            with suppress(FileNotFoundError):  # somebody else removed it since it was listed
                if path.is_dir():
                    yield path.stat().st_mtime, _measured(path).bytes, path


def _remove(cache: Path) -> list[Path]:
    """Remove a folder (or file) of the cache folder, but for those parts which it returns."""
    if not cache.is_dir() or _is_mere_link(cache):
        cache.unlink(missing_ok=True)
        return []
    if cache.name not in _PARTED:
        remove_folder(cache)
        return []
    left = []
    for path in sorted(cache.iterdir()):
        if not path.is_dir() or path.is_symlink():
            path.unlink(missing_ok=True)
        elif not discard(path):
            left.append(path)
    with suppress(OSError):  # a link, or not empty: of what is left, or of what is new
        cache.rmdir()
    return left


def _is_mere_link(cache: Path) -> bool:
    """Whether clearing takes a link and nothing behind it: that of parts is cleared, and stays."""
    return cache.is_symlink() and cache.name not in _PARTED


def _sweep() -> None:
    """Remove what killed processes left: their scratch files, and what is half made or removed.

    A scratch folder is locked by its process, and the system frees that lock however it ends.
    """
    scratch = folders.cache() / SCRATCH
    with suppress(FileNotFoundError):  # there is none
        for folder in [*scratch.iterdir()]:
            if folder.is_dir() and not folder.name.startswith((UNFINISHED, TRASH)):
                discard(folder)
    before = time.time() - LEFT_SECONDS
    for folder, folder_names, file_names in os.walk(folders.cache()):
        for name in (*folder_names, *file_names):
            path = Path(folder, name)
            with suppress(OSError):
                if name.startswith((UNFINISHED, TRASH)) and path.lstat().st_mtime < before:
                    if name in folder_names and not path.is_symlink():
                        shutil.rmtree(path, ignore_errors=True)
                    else:
                        path.unlink()


def _measured(path: Path) -> Cache:
    files = [path]
    if path.is_dir():  # a walk, unlike a glob, bears that a folder goes meanwhile
        files = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    size = sum(_size(file) for file in files)
    about = ABOUT.get(path.name, "pictures that zoo draws" if "demo" in path.name else "")
    return Cache(path.name, about, size, len(files))


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size
    except OSError:  # gone since it was listed
        return 0
