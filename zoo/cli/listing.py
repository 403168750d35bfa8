"""What `zoo list` lists: kept in the cache folder while all that it was made from is as it was.

Made anew it takes an import of most cold rooms; kept, it is one file that is read at once. Whatever
is wrong with that file, or with what it stands on, it is made anew.
"""

from __future__ import annotations

import marshal
import os
import sys
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from zoo import folders
from zoo.cli.console import note
from zoo.cli.rows import Row
from zoo.plugins import basis, selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from zoo.cli.rows import View
    from zoo.registry import Registry

#: what a kept listing is made of: plain types alone
Listing = dict[str, Any]
#: listings kept: as many views and environments share a cache without making them anew
KEPT = 24
#: bytes of the checksum before the rest
_SUM = 4


def rows(view: View, file: str | None = None) -> list[Row]:
    """Everything: components in the catalog's order, then entries; what is wrong goes to stderr.

    Args:
        view: what the rows shall hold.
        file: one more registry file.

    Raises:
        UsageError, InputMissing, StorageFault: see `zoo.registry.load`.
    """
    listing = kept(view) or made(view)
    for line in (*listing["problems"], *listing["news"]):
        note(line)
    entries, faults = listing["entries"], listing["faults"]
    if file or _own_registry():
        from pathlib import Path

        from zoo import registry

        book = registry.load(Path(file) if file else None, shipped=listing["shipped"])
        entries, faults = _entries(book, view)
    for line in faults:
        note(line)
    return [Row._make(row) for row in (*listing["components"], *entries)]


def made(view: View) -> Listing:
    """The listing from the catalog; kept if the catalog says on what it stands."""
    from zoo import index, registry
    from zoo.cli.problems import news
    from zoo.cli.records import of_component

    catalog = index.catalog()
    shipped = [*catalog.entries_resources]
    files = _registry_files(shipped)
    entries, faults = _entries(registry.load(shipped=shipped, own=False), view)
    listing = {
        "components": [tuple(row) for one in catalog.listed for row in of_component(one, view)],
        "problems": [f"{one}" for one in catalog.problems if one.quarantined],
        "news": [*news(catalog)],
        "shipped": shipped,
        "entries": entries,
        "faults": faults,
        "registries": files,
        "basis": catalog.stands_on,
    }
    if catalog.stands_on:
        _keep(view, listing)
    return listing


def _entries(book: Registry, view: View) -> tuple[list[tuple[Any, ...]], list[str]]:
    """The rows of a registry's entries, and what is wrong with those that plugins ship."""
    from zoo.cli.records import of_entry

    return [tuple(of_entry(entry, view)) for entry in book.entries.values()], [*book.problems]


def _registry_files(shipped: Iterable[Sequence[str]]) -> list[tuple[str, basis.Stamp]]:
    """The registry files that come with zoo and its plugins, as they are now."""
    files = [folders.built_in_registry(), *(basis.resource(text) for _, text, *_ in shipped)]
    return [(file, basis.stamp(file)) for file in files]


def _own_registry() -> bool:
    """Whether there may be a registry file of the user's or in the working directory.

    It may also be one that cannot be looked at: that is for `zoo.registry` to say.
    """
    built_in = basis.stamp(folders.built_in_registry())
    for folder in (folders.place("config"), "."):
        file = f"{folder}/{folders.REGISTRY}"
        try:
            os.stat(file)  # noqa: PTH116 - no pathlib at the start
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return True
        if basis.stamp(file) != built_in:
            return True
    return False


# --- the cache ---


def kept_file(view: View) -> str:
    """Where the listing of this environment is kept."""
    told = (*selection.current(), os.environ.get("VIRTUAL_ENV"))  # the last for lines to be typed
    environment = zlib.crc32(
        repr((basis.CODE, sys.prefix, sys.path, told)).encode("utf-8", "replace")
    )
    return f"{folders.place('cache')}/catalog/list-{view}-{environment:08x}.bin"


def kept(view: View) -> Listing | None:
    """The listing of an earlier command; None if there is none that still holds or can be read."""
    try:
        with open(kept_file(view), "rb") as stream:  # noqa: PTH123 - no pathlib at the start
            data = stream.read()
        if zlib.crc32(data[_SUM:]) != int.from_bytes(data[:_SUM], "big"):
            return None
        listing = marshal.loads(data[_SUM:])  # noqa: S302 - our own file, in the user's own folder
        holds = basis.holds(listing["basis"])
        unchanged = listing["registries"] == _registry_files(listing["shipped"])
    except (OSError, ValueError, EOFError, TypeError, KeyError, AttributeError):
        return None
    return listing if holds and unchanged else None


def _keep(view: View, listing: Listing) -> None:
    """Write a listing for the next command; where that cannot be, the next one makes it anew."""
    from pathlib import Path

    from zoo.errors import StorageFault
    from zoo.files import write_bytes

    data = marshal.dumps(listing)
    file = Path(kept_file(view))
    with suppress(StorageFault, OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(file, zlib.crc32(data).to_bytes(_SUM, "big") + data)
        for old in sorted(file.parent.glob("list-*.bin"), key=_changed)[:-KEPT]:
            old.unlink(missing_ok=True)


def _changed(file: Path) -> float:
    return file.stat().st_mtime
