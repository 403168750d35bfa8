"""What an answer about the installed plugins stands on, and whether that is as it was.

Reading the metadata of every installed distribution takes longer than listing what the plugins
offer. So an answer may be kept together with its basis: the stamps of all files that it was made
from, and of those that would have been read if they had been there. To check a basis nothing is
read; the rooms that read (`distributions`, `loader`) import this one, never the other way round.
"""

from __future__ import annotations

import os
import sys
import time
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

from zoo import __version__, folders
from zoo.plugins import selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from importlib.machinery import ModuleSpec

#: size, time of change in ns and number of a file; None where there is none
Stamp = tuple[int, int, int] | None
#: plain types alone, so that it can be written and read at once
Basis = dict[str, Any]
#: path, size and time of change in ns of each file of a package
Files = list[tuple[str, int, int]]

#: the code that answers
CODE = (2, __version__, sys.implementation.cache_tag)
#: what discovery reads of a distribution: the rest of its metadata decides nothing
_READ = ("entry_points.txt", "METADATA", "RECORD", "direct_url.json")
#: likewise of one that setuptools left behind, which may be a file by itself
_READ_OF_OLD = ("", "PKG-INFO", "requires.txt", *_READ)
#: a file that changed so shortly before may change again without its time telling, nanoseconds:
#: some file systems count in steps of 2 s
_YOUNG = 2_000_000_000


def begin() -> Basis:
    """The first half of a basis, to be taken before anything is read."""
    return {
        "code": CODE,
        "path": [*sys.path],
        "installed": installed(sys.path),
        "times": times(sys.path),
        "selection": _plain(selection.current()),
        "disabled": disabled(),
        "at": time.time_ns(),
    }


def complete(
    begun: Basis,
    records: Iterable[tuple[str, Stamp] | None],
    packages: Mapping[str, Files],
    *,
    failed: bool,
) -> Basis | None:
    """The whole basis; None where the answer must not be kept.

    Args:
        begun: what `begin` gave before the answer was made.
        records: file and stamp of the record that each plugin's offer was read from, None for one
            that was surveyed just now.
        packages: module → the files of its package, where they were looked at.
        failed: whether a plugin is out for a reason that an installation may mend.
    """
    files = [*records]
    whole = begun | {
        "files": files,
        "packages": {**packages},
        "times": begun["times"] if failed else None,
    }
    return None if None in files or _others_find() or _young(whole) else whole


def holds(basis: Basis) -> bool:
    """Whether everything that the answer was made from is as it was."""
    return (
        basis["code"] == CODE
        and basis["path"] == sys.path
        and basis["selection"] == _plain(selection.current())
        and basis["disabled"] == disabled()
        and basis["installed"] == installed(sys.path)
        and all(stamp(file) == was for file, was in basis["files"])
        and all(files_of(module) == was for module, was in basis["packages"].items())
        and basis["times"] in (None, times(sys.path))
        and not _others_find()
    )


def disabled() -> bytes:
    """What config.toml may say of disabled plugins: all of it, or nothing where it says none.

    Reading it as TOML is for whoever makes the answer; a preference changes none of it.
    """
    try:
        with open(f"{folders.place('config')}/{folders.CONFIG}", "rb") as stream:  # noqa: PTH123 - no pathlib at the start
            text = stream.read()
    except OSError:
        return b""
    return text if b"disabled" in text else b""


def _plain(chosen: selection.Selection) -> tuple[object, ...]:
    """Without its class, as it comes back from a file."""
    return tuple(chosen)


def stamp(file: str) -> Stamp:
    """What tells whether a file is the one that it was."""
    try:
        status = os.stat(file)  # noqa: PTH116 - no pathlib at the start
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


def installed(path: Sequence[str]) -> list[tuple[str, Any]]:
    """The metadata folders in each folder of the path, in order, with what is read of them."""
    return [(folder, _metadata(folder or ".")) for folder in path]


def _metadata(folder: str) -> list[tuple[str, list[Stamp]]] | Stamp:
    try:
        names = os.listdir(folder)  # noqa: PTH208 - no pathlib at the start
    except OSError:  # an archive, or nothing
        return stamp(folder)
    return [
        (name, [stamp(f"{folder}/{name}/{file}".rstrip("/")) for file in read])
        for name in names
        if name[-5:].lower() == "-info"
        for read in (_READ if name.endswith(".dist-info") else _READ_OF_OLD,)
    ]


def times(path: Sequence[str]) -> list[tuple[str, int]]:
    """When something was last put into or taken out of each folder of the path, ns."""
    return [(folder, was[1]) for folder in path if (was := stamp(folder or ".")) is not None]


def files_of(module: str) -> Files:
    """The files of a module's top-level package, sorted, without importing it."""
    spec = _spec(module.partition(".")[0])
    if spec is None or spec.origin is None:
        return []
    package = spec.submodule_search_locations is not None
    files = _below(os.path.dirname(spec.origin)) if package else [spec.origin]  # noqa: PTH120 - see above
    return sorted((file, was[0], was[1]) for file in files if (was := stamp(file)) is not None)


def resource(text: str) -> str:
    """The file that `"package.part:file.toml"` names, without importing the package.

    Empty where there is no such package; whether there is the file is for the reader to find out.
    """
    package, _, file = text.partition(":")
    top, *rest = package.split(".")
    spec = _spec(top)  # of the top level only: for `a.b` it would run `a`
    if spec is None or not spec.submodule_search_locations:
        return ""
    return "/".join((spec.submodule_search_locations[0], *rest, file))


def _spec(package: str) -> ModuleSpec | None:
    from importlib.util import find_spec

    try:
        return find_spec(package)
    except (ImportError, ValueError):
        return None


def _below(folder: str) -> Iterator[str]:
    for place, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if name != "__pycache__"]
        yield from (f"{place}/{name}" for name in names)


def _others_find() -> bool:
    """Whether distributions may lie where no folder of the path shows them."""
    return any(hasattr(one, "find_distributions") for one in sys.meta_path if one is not PathFinder)


def _young(basis: Basis) -> bool:
    """Whether a file changed so shortly before it was read that its time proves nothing."""
    stamps = [
        was
        for _, found in basis["installed"]
        for _, read in (found if isinstance(found, list) else [("", [found])])
        for was in read
    ]
    changed = [was[1] for was in stamps if was is not None]
    changed += [at for files in basis["packages"].values() for _, _, at in files]
    return any(abs(basis["at"] - at) < _YOUNG for at in changed)
