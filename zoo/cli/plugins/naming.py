"""Which installed plugins a name on the command line means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.errors import UnknownName
from zoo.near import near
from zoo.plugins.distributions import called, sources

if TYPE_CHECKING:
    from zoo.plugins.distributions import Source


def meant(name: str) -> Source:
    """The installed plugin of that distribution; else of that namespace, else of that entry point.

    Raises:
        UnknownName: there is none, or two share the namespace; the hint has what there is.
    """
    found = sources()
    matching = called(name, found)
    if len(matching) == 1:
        return matching[0]
    pool = matching or found
    names = [one.distribution for one in pool]
    shown = tuple(names) if matching else near(name, names) or tuple(names)
    several = f"{name} may be {' or '.join(names)}." if matching else ""
    raise UnknownName(
        several or f"No installed plugin is called {name!r}.",
        hint=f"There is: {', '.join(shown)}." if shown else "No plugin is installed.",
        suggestions=shown,
    )
