"""What zoo keeps in the user's cache folder: how much it is, and how to be rid of it.

All of it can be made or fetched again. What a run of this moment has mapped stays readable for it
after its name is gone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo import folders
from zoo.errors import UsageError
from zoo.files import remove_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

ABOUT = {
    "catalog": "what the installed plugins offer",
    "features": "what frozen backbones made of images",
    "hashes": "hashes of files that have not changed since",
    "pictures": "images of data sets, decoded",
    "scratch": "what prediction decodes, until it ends",
    "weights": "downloaded weights",
}
#: what grows with use, and whose parts go when it is too much
_GROWING = ("features", "pictures")
#: how much of that is kept, bytes; the variable says it in GB
LIMIT, LIMIT_VARIABLE = 50e9, "ZOO_CACHE_LIMIT"


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


def caches() -> tuple[Cache, ...]:
    """All that is in the cache folder, by name."""
    place = folders.cache()
    return tuple(_measured(one) for one in sorted(place.iterdir())) if place.is_dir() else ()


def clear(names: Iterable[str] = ()) -> int:
    """Remove caches; all of them if none is named.

    Returns:
        How many bytes that freed.

    Raises:
        UsageError: there is no cache of that name; nothing is removed.
    """
    there = {one.name: one for one in caches()}
    wanted = list(names) or list(there)
    unknown = [name for name in wanted if name not in {*there, *ABOUT}]
    if unknown:
        raise UsageError(
            f"There is no cache called {', '.join(unknown)}.",
            hint=f"There is: {', '.join(there) or 'none'}",
        )
    found = [there[name] for name in wanted if name in there]
    for one in found:
        path = folders.cache() / one.name
        if path.is_dir() and not path.is_symlink():
            remove_folder(path)
        else:
            path.unlink(missing_ok=True)
    return sum(one.bytes for one in found)


def prune() -> int:
    """Remove what has not been used for longest, until what grows is within its limit.

    The limit is `LIMIT`, or `$ZOO_CACHE_LIMIT` in GB.

    Returns:
        How many bytes that freed.
    """
    told = os.environ.get(LIMIT_VARIABLE, "")
    try:
        limit = float(told) * 1e9 if told else LIMIT
    except ValueError:
        raise UsageError(
            f"{LIMIT_VARIABLE}={told!r} is no number.", hint="Write GB, such as 20."
        ) from None
    parts = sorted(_parts(), key=lambda part: part[0])
    total, freed = sum(size for _, size, _ in parts), 0
    for _, size, path in parts:
        if total - freed <= limit:
            break
        remove_folder(path)
        freed += size
    return freed


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
            if path.is_dir():
                yield path.stat().st_mtime, _measured(path).bytes, path


def _measured(path: Path) -> Cache:
    files = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
    size = sum(_size(file) for file in files)
    about = ABOUT.get(path.name, "pictures that zoo draws" if "demo" in path.name else "")
    return Cache(path.name, about, size, len(files))


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size
    except OSError:  # gone since it was listed
        return 0
