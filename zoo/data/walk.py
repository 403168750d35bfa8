"""The image files below a folder, in one order on every machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data.decode import SUFFIXES
from zoo.errors import StorageFault

if TYPE_CHECKING:
    from collections.abc import Iterator

#: what systems and tools leave behind in folders (lower case); hidden names are ignored as well
_LITTER = {"__macosx", "thumbs.db", "desktop.ini", "@eadir"}


def is_litter(name: str) -> bool:
    """Whether a file or folder of that name is nobody's data: hidden, or left by a system."""
    return name.startswith(".") or name.casefold() in _LITTER


def is_image(name: str) -> bool:
    """Whether a file of that name claims, by its suffix, to be an image that zoo decodes."""
    return os.path.splitext(name)[1].casefold() in SUFFIXES  # noqa: PTH122 - a Path per name is slow


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, by name.

    Raises:
        StorageFault: it cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        message = f"Cannot read the folder {folder}: {error.strerror or error}."
        raise StorageFault(message) from error


def walk(folder: Path, name: str = "") -> tuple[list[str], list[str]]:
    """The names (posix, `name` before them) of the images below `folder`, and of what is ignored.

    Links are followed, but no folder is entered twice, so loops end. A link that leads nowhere
    counts as a file: decoding it will say what is wrong.
    """
    images: list[str] = []
    ignored: list[str] = []
    for entry, inner in _files(folder, f"{name}/" if name else "", set()):
        kept = entry is not None and is_image(entry.name) and not is_litter(entry.name)
        (images if kept else ignored).append(inner)
    return images, ignored


def _files(
    folder: Path, prefix: str, seen: set[tuple[int, int]]
) -> Iterator[tuple[os.DirEntry[str] | None, str]]:
    """Every file below `folder` with its name; an ignored folder stands as (None, name)."""
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in seen:
        yield None, prefix
        return
    seen.add(identity)
    for entry in entries(folder):
        if not entry.is_dir():
            yield entry, f"{prefix}{entry.name}"
        elif is_litter(entry.name):
            yield None, f"{prefix}{entry.name}/"
        else:
            yield from _files(Path(entry.path), f"{prefix}{entry.name}/", seen)
