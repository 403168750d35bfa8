"""The image files below a folder, in one order on every machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data.decode import SUFFIXES
from zoo.errors import StorageFault

if TYPE_CHECKING:
    from collections.abc import Iterable

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


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is or leads to a folder; not where that cannot be told, as of a link to itself."""
    try:
        return entry.is_dir()
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Found:
    """What is below a folder, as posix names.

    Args:
        images: files that claim to be images.
        ignored: what was passed over; folders end in a slash.
        outside: images and folders behind links that were not followed.
    """

    images: list[str]
    ignored: list[str]
    outside: list[str]


def walk(
    folder: Path,
    name: str = "",
    *,
    within: Path | None = None,
    above: Iterable[Path] = (),
) -> Found:
    """The images below `folder`; no folder is entered twice, so loops of links end.

    A link that leads nowhere counts as a file: decoding it will say what is wrong.

    Args:
        folder: where to look.
        name: what stands before all names.
        within: links that lead out of this folder are not followed; None to follow all.
        above: folders that are not entered from below either.
    """
    found = Found([], [], [])
    prefix = f"{name}/" if name else ""
    home = os.path.join(os.path.realpath(within), "") if within else ""  # noqa: PTH118 - as text
    if _leads_out(folder, home):
        found.outside.append(prefix)
    else:
        _collect(folder, prefix, found, {_identity(one) for one in above}, home)
    return found


def _collect(
    folder: Path, prefix: str, found: Found, seen: set[tuple[int, int]], home: str
) -> None:
    """Add what is below `folder`; `seen` are the folders entered already."""
    if _identity(folder) in seen:
        found.ignored.append(prefix)
        return
    seen.add(_identity(folder))
    for entry in entries(folder):
        inside = is_folder(entry)
        name = f"{prefix}{entry.name}{'/' if inside else ''}"
        if is_litter(entry.name) or not (inside or is_image(entry.name)):
            found.ignored.append(name)
        elif entry.is_symlink() and _leads_out(entry.path, home):
            found.outside.append(name)
        elif inside:
            _collect(Path(entry.path), name, found, seen, home)
        else:
            found.images.append(name)


def _leads_out(path: str | Path, home: str) -> bool:
    """Whether a path that leads somewhere leads out of `home`; nothing leads out of `""`."""
    real = os.path.realpath(path)
    return not f"{real}/".startswith(home) and os.path.exists(real)  # noqa: PTH110 - text already


def _identity(folder: Path) -> tuple[int, int]:
    """The same for all names of one folder."""
    status = folder.stat()
    return status.st_dev, status.st_ino
