"""Names that a plugin shares with another: both owners, what the bare name means, what to type.

Such a name goes on to mean what it meant. That a newcomer has it too is told once, by the command
that first sees the plugin, and from then on by `zoo plugins`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.errors import UnknownName
from zoo.names import resolve
from zoo.owners import FIRST_PARTY
from zoo.spec import Part

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from zoo.index import Catalog, Listed

#: lines that are told of one plugin
_LINES = 3


@dataclass(frozen=True, slots=True)
class Collision:
    """A component of a third party whose bare name others have too.

    Args:
        newcomer: the component.
        name: the name, or the alias, that is shared.
        others: the components of that name and kind of other plugins.
        meaning: the one that the bare name means; None where it means none.
    """

    newcomer: Listed
    name: str
    others: tuple[Listed, ...]
    meaning: Listed | None

    def __str__(self) -> str:
        """Both owners, and the line to type."""
        new = self.newcomer
        mine = f"{new.namespace}/{self.name}"
        names = " and ".join(
            f"{one.namespace}/{self.name} ({one.owner})"
            for one in ([self.meaning] if self.meaning else self.others)
        )
        still = (
            f"{self.name} goes on to mean" if self.meaning else "each is written in full, beside"
        )
        return f"{mine} ({new.owner}): {still} {names}; to change that: zoo prefer {mine}"


def collisions(
    catalog: Catalog, distributions: Collection[str], prefer: Sequence[str] = ()
) -> Iterator[Collision]:
    """The shared names of some plugins' components, but for those that the user gave to them.

    Args:
        catalog: all components.
        distributions: whose; zoo's own plugins share names by a table, and are left out.
        prefer: full names that the user prefers.
    """
    for one in catalog.listed:
        if one.plugin not in distributions or one.namespace in FIRST_PARTY:
            continue
        for name in (one.component.name, *one.component.aliases):
            others = tuple(
                other for other in catalog.named(one.kind, name) if other.plugin != one.plugin
            )
            meaning = _meaning(catalog, one, name, prefer) if others else one
            if meaning != one:
                yield Collision(one, name, others, meaning)


def told(
    catalog: Catalog, distributions: Collection[str], prefer: Sequence[str] = ()
) -> Iterator[str]:
    """A few lines for each of these plugins, and how many more there are."""
    for distribution in sorted(distributions):
        found = [f"{one}" for one in collisions(catalog, (distribution,), prefer)]
        yield from found[:_LINES]
        if found[_LINES:]:
            more = len(found) - _LINES
            yield f"{distribution} shares {more} more name{'s' if more > 1 else ''} with others."


def _meaning(catalog: Catalog, one: Listed, name: str, prefer: Sequence[str]) -> Listed | None:
    try:
        return resolve(catalog, one.kind, Part(name), prefer).listed
    except UnknownName:
        return None
