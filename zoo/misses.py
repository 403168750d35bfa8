"""What a name that means nothing is answered with: the reason, near names, and what to type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.components import KINDS, Kind
from zoo.errors import UnknownName
from zoo.near import near
from zoo.owners import FIRST_PARTY, OWNERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zoo.index import Catalog, Listed
    from zoo.plugins.loader import Problem
    from zoo.spec import Part

_PLACES: dict[Kind, str] = {"backbone": "first", "head": "second", "loss": "third"}


def unknown_anywhere(catalog: Catalog, name: str) -> UnknownName:
    """No component of any kind has a bare name."""
    return _misspelt(f"There is no component {name!r}", name, catalog.listed)


def unknown(catalog: Catalog, kind: Kind, name: str) -> UnknownName:
    """No first-party plugin has a bare name: a third party's, another kind's, or a typo."""
    others = catalog.named(kind, name)
    if others:
        owners = " and ".join(f"{one.full_name} ({one.owner})" for one in others)
        return UnknownName(
            f"{name} is {owners}: a third party's component is written with its namespace.",
            hint=f"Type {others[0].full_name}, or once: zoo prefer {others[0].full_name}",
            suggestions=_full_names(others),
        )
    elsewhere = _elsewhere(catalog, kind, name)
    if elsewhere:
        return UnknownName(
            f"{name} is not a {kind} but {_placed(elsewhere[0].kind)}.",
            hint=f"zoo list --kind {kind} shows what could stand there.",
        )
    return _misspelt(f"There is no {kind} {name!r}", name, catalog.of(kind))


def not_held(catalog: Catalog, kind: Kind, part: Part, namespace: str) -> UnknownName:
    """A namespace has no such component: it is not installed, is out, or has other names."""
    full_name = f"{namespace}/{part.name}"
    meant = "" if part.namespace else f"{part.name} is {full_name}, and "
    others = _full_names(catalog.named(kind, part.name))
    instead = f", or type {others[0]}" if others else ""
    owner = next((one.owner for one in catalog.listed if one.namespace == namespace), "")
    if owner:
        return _not_in(catalog, kind, full_name, f"{meant}{owner} has no {kind} {part.name!r}")
    problem = _quarantine(catalog, namespace)
    if problem:
        hint = f"Reinstall or upgrade it: uv pip install --upgrade {problem.distribution}{instead}"
        return UnknownName(f"{meant}{problem}.", hint=hint, suggestions=others)
    if namespace in FIRST_PARTY:
        return UnknownName(
            f"{meant or f'{full_name} cannot be had: '}zoo-{namespace} is not installed.",
            hint=f"uv pip install zoo-{namespace}{instead}",
            suggestions=others,
        )
    if not part.namespace:  # so it is a preference of the user's
        return UnknownName(
            f"You prefer {full_name}, and no installed plugin has the namespace {namespace!r}.",
            hint=f"Install it, or type: zoo prefer --remove {full_name}",
            suggestions=others,
        )
    namespaces = sorted({one.namespace for one in catalog.listed})
    found = others or tuple(f"{one}/{part.name}" for one in near(namespace, namespaces, count=1))
    return UnknownName(
        f"No installed plugin has the namespace {namespace!r}.",
        hint=_try(found) if found else f"There is: {', '.join(namespaces) or 'no plugin at all'}.",
        suggestions=found,
    )


def ambiguous(kind: Kind, name: str, held: Sequence[Listed]) -> UnknownName:
    """Two of zoo's own plugins have a name that the table of owners does not give to either."""
    owners = " and ".join(f"{one.full_name} ({one.owner})" for one in held)
    return UnknownName(
        f"The {kind} {name!r} may be {owners}.",
        hint=f"Type one of them, or once: zoo prefer {held[0].full_name}",
        suggestions=_full_names(held),
    )


def no_tag(listed: Listed, tag: str, tags: Sequence[str]) -> UnknownName:
    """A component has no weights of that tag; its tags are named, near ones first."""
    ordered = dict.fromkeys([*near(tag, tags), *tags])
    found = tuple(f"{listed.full_name}.{one}" for one in ordered)
    return UnknownName(
        f"{listed.full_name} has no weights tag {tag!r}.",
        hint=_try(found) if found else f"It has no pretrained weights: type {listed.full_name}.",
        suggestions=found,
    )


def _not_in(catalog: Catalog, kind: Kind, full_name: str, sentence: str) -> UnknownName:
    namespace, _, name = full_name.partition("/")
    other = catalog.get(full_name)
    if other:
        return UnknownName(f"{full_name} is not a {kind} but {_placed(other.kind)}.")
    found = _full_names(catalog.named(kind, name) or _elsewhere(catalog, kind, name))
    if found:
        return UnknownName(f"{sentence}.", hint=_try(found), suggestions=found)
    held = [one for one in catalog.of(kind) if one.namespace == namespace]
    return _misspelt(sentence, name, held or catalog.of(kind))


def _misspelt(sentence: str, name: str, pool: Iterable[Listed]) -> UnknownName:
    """Near names out of `pool`, each as the full name of what its bare name most likely means."""
    by_name: dict[str, Listed] = {}
    for one in pool:
        for spelling in (one.component.name, *one.component.aliases):
            if spelling not in by_name or OWNERS[one.kind].get(spelling) == one.namespace:
                by_name[spelling] = one
    found = _full_names(by_name[spelling] for spelling in near(name, by_name))
    hint = _try(found) if found else "zoo list shows all names."
    return UnknownName(f"{sentence}.", hint=hint, suggestions=found)


def _elsewhere(catalog: Catalog, kind: Kind, name: str) -> list[Listed]:
    """Components of the other kinds with that bare name."""
    return [found for one in KINDS if one != kind for found in catalog.named(one, name)]


def _placed(kind: Kind) -> str:
    return f"a {kind}, the {_PLACES[kind]} part of backbone+head+loss"


def _quarantine(catalog: Catalog, namespace: str) -> Problem | None:
    holders = {f"zoo-{namespace}"} if namespace in FIRST_PARTY else {f"zoo-{namespace}", namespace}
    return next((one for one in catalog.problems if one.distribution in holders), None)


def _full_names(listed: Iterable[Listed]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.full_name for one in listed))


def _try(names: Sequence[str]) -> str:
    shown, more = names[:8], len(names) - 8
    return f"Try {', '.join(shown)}{f' (and {more} more)' if more > 0 else ''}."
