"""The one line per quarantined plugin that every command shows which uses the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.cli.console import note

if TYPE_CHECKING:
    from zoo.index import Catalog


def announce(catalog: Catalog) -> None:
    """Name the plugins that are out, on standard error; those that are merely slow cost no line."""
    for problem in catalog.problems:
        if problem.quarantined:
            note(f"{problem}")
