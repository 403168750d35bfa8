"""What every command that uses the catalog says of the plugins, on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.cli.console import note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo.index import Catalog


def announce(catalog: Catalog) -> None:
    """Name the plugins that are out, and what is new; those that are merely slow cost no line."""
    for problem in catalog.problems:
        if problem.quarantined:
            note(f"{problem}")
    for line in news(catalog):
        note(line)


def news(catalog: Catalog) -> Iterator[str]:
    """Names of no plugin that the user selects by, and the names that new plugins share."""
    yield from catalog.notes
    if catalog.fresh:
        from zoo.collisions import told
        from zoo.names import preferences

        yield from told(catalog, catalog.fresh, preferences())
