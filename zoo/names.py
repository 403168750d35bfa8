"""What a name in a spec means: a rule, never the order in which plugins were loaded.

1. A written namespace decides.
2. Else the user's `prefer` list (`zoo prefer timm/resnet18`).
3. Else the first-party owner, by the tables in `zoo.owners`, even if the owner is not installed
   (which is an error).

Every other component is written with its namespace, unless it is preferred. What is installed has
no say in any of this, so a plugin that is added never makes a spec mean another component.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo import config, misses
from zoo.owners import FIRST_PARTY, HOME, OWNERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.components import Kind
    from zoo.index import Catalog, Listed
    from zoo.spec import Part


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a name means, and why.

    Args:
        listed: the component.
        rule: the rule that chose it, as a clause.
        losers: the others of that name and kind, each with why it lost.
    """

    listed: Listed
    rule: str
    losers: tuple[tuple[Listed, str], ...] = ()


def resolve(catalog: Catalog, kind: Kind, part: Part, prefer: Sequence[str] = ()) -> Resolution:
    """The component of that kind that `part` means.

    Args:
        catalog: all components.
        kind: what the part's place in the spec asks for.
        part: as written.
        prefer: full names that the user prefers, first come first served; see `preferences`.

    Raises:
        UnknownName: there is none, its plugin is missing or quarantined, it needs its namespace, or
            it has no such weights tag; the hint says what to type.
    """
    listed, rule = _choose(catalog, kind, part, prefer)
    tags = [weights.tag for weights in listed.component.weights]
    if part.tag and part.tag not in tags:
        raise misses.no_tag(listed, part.tag, tags)
    return Resolution(listed, rule, _losers(catalog, kind, part, listed.namespace))


def unmet(
    catalog: Catalog, kind: Kind, part: Part, prefer: Sequence[str] = ()
) -> tuple[str, tuple[tuple[Listed, str], ...]]:
    """Why a name means nothing that others have: the rule, and each of them with why it is not it.

    Args:
        catalog: all components.
        kind: what the part's place in the spec asks for.
        part: as written; `resolve` has refused it.
        prefer: as for `resolve`.

    Returns:
        The rule as a clause, and the losers; none where nobody has the name.
    """
    namespace, rule = _rule(catalog, kind, part, prefer)
    return f"{rule}, and has none", _losers(catalog, kind, part, namespace)


def _choose(catalog: Catalog, kind: Kind, part: Part, prefer: Sequence[str]) -> tuple[Listed, str]:
    namespace, rule = _rule(catalog, kind, part, prefer)
    told = part.namespace or _preferred(catalog, kind, part.name, prefer)
    if (
        not told
        and part.name not in OWNERS[kind]
        and catalog.get(f"{namespace}/{part.name}", kind) is None
    ):
        raise misses.unknown(catalog, kind, part.name)
    return _held(catalog, kind, part, namespace), rule


def _rule(catalog: Catalog, kind: Kind, part: Part, prefer: Sequence[str]) -> tuple[str, str]:
    """The namespace in which a name is looked up, and the rule that says so."""
    if part.namespace:
        return part.namespace, "its namespace is written"
    if namespace := _preferred(catalog, kind, part.name, prefer):
        return namespace, f"you prefer {namespace}/{part.name}"
    namespace = owner(kind, part.name)
    if part.name in OWNERS[kind]:
        return namespace, f"{namespace} owns the name, always"
    return namespace, f"{namespace} owns every bare name of a {kind} that no table gives to another"


def _losers(
    catalog: Catalog, kind: Kind, part: Part, winner: str
) -> tuple[tuple[Listed, str], ...]:
    """The components of that name outside of a namespace, each with why it is not meant."""
    return tuple(
        (other, _why_lost(other, winner, part))
        for other in catalog.named(kind, part.name)
        if other.namespace != winner
    )


def owner(kind: Kind, name: str) -> str:
    """The namespace that a bare name belongs to, whether or not it is installed or has the name."""
    return OWNERS[kind].get(name, HOME[kind])


def _preferred(catalog: Catalog, kind: Kind, name: str, prefer: Sequence[str]) -> str:
    """The namespace that the user prefers for this name; a preference of another kind is none."""
    for full_name in prefer:
        namespace, _, preferred = full_name.partition("/")
        elsewhere = catalog.get(full_name) and not catalog.get(full_name, kind)
        if preferred == name and not elsewhere:
            return namespace
    return ""


def _held(catalog: Catalog, kind: Kind, part: Part, namespace: str) -> Listed:
    """The component of that namespace."""
    for one in catalog.named(kind, part.name):
        if one.namespace == namespace:
            return one
    raise misses.not_held(catalog, kind, part, namespace)


def _why_lost(other: Listed, winner: str, part: Part) -> str:
    if part.namespace:
        return f"{part.namespace}/ is written"
    if other.namespace not in FIRST_PARTY:
        return "a third party's component is written with its namespace"
    if owner(other.kind, part.name) == winner:
        return f"{winner} owns the name, always"
    return f"you prefer {winner}/{part.name}"


# --- the user's preferences ---


def preferences() -> tuple[str, ...]:
    """The full names that the user prefers: `prefer` in config.toml, in its order.

    Raises:
        UsageError: the file is not TOML, or `prefer` is not a list of `namespace/name`.
    """
    return config.names("prefer")


def set_preferences(names: Sequence[str]) -> None:
    """Replace the list of preferred names; whatever else config.toml holds stays as it is written.

    Raises:
        UsageError: the file holds `prefer` in a form that cannot be edited safely.
        StorageFault: it cannot be written.
    """
    config.write_names("prefer", names)
