"""What a name that means nothing is answered with: the reason, near names, and what to type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo import installer
from zoo.components import KINDS, Kind
from zoo.errors import UnknownName
from zoo.near import near
from zoo.owners import FIRST_PARTY, HOME, OWNERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from zoo.index import Catalog, Listed
    from zoo.plugins.distributions import Source
    from zoo.plugins.loader import Problem
    from zoo.spec import Part

#: of what is told in a line at most
_LINES = 3
_PLACES: dict[Kind, str] = {"backbone": "first", "head": "second", "loss": "third"}


def unknown_anywhere(catalog: Catalog, name: str) -> UnknownName:
    """No component of any kind has a bare name."""
    return _misspelt(f"There is no component {name!r}", name, catalog.listed)


def unknown(catalog: Catalog, kind: Kind, name: str) -> UnknownName:
    """The owner of a bare name has none: it is another's, another kind's, a typo, or not here."""
    others = catalog.named(kind, name)
    if others:
        owners = " and ".join(f"{one.full_name} ({one.owner})" for one in others)
        lines = " or ".join(f"zoo prefer {one}" for one in _full_names(others)[:_LINES])
        strangers = all(one.namespace not in FIRST_PARTY for one in others)
        whose = "a third party's component" if strangers else "it"
        return UnknownName(
            f"{name} is {owners}: {whose} is written with its namespace.",
            hint=f"Type {others[0].full_name}, or once: {lines}",
            suggestions=_full_names(others),
        )
    elsewhere = _elsewhere(catalog, kind, name)
    if elsewhere:
        return UnknownName(
            f"{name} is not a {kind} but {_placed(elsewhere[0].kind)}.",
            hint=f"zoo list --kind {kind} shows what could stand there.",
        )
    missed = _misspelt(f"There is no {kind} {name!r}", name, catalog.of(kind))
    hint = " ".join([missed.hint, *_away(catalog, kind)])
    return UnknownName(missed.message, hint=hint, suggestions=missed.suggestions)


def not_held(catalog: Catalog, kind: Kind, part: Part, namespace: str) -> UnknownName:
    """A namespace has no such component: it is not installed, is out, or has other names."""
    full_name = f"{namespace}/{part.name}"
    meant = "" if part.namespace else f"{part.name} is {full_name}, and "
    others = _full_names(catalog.named(kind, part.name))
    instead = f", or type {others[0]}" if others else ""
    owner = next((one.owner for one in catalog.listed if one.namespace == namespace), "")
    if owner:
        return _not_in(catalog, kind, full_name, f"{meant}{owner} has no {kind} {part.name!r}")
    cannot = meant or f"{full_name} cannot be had: "
    if away := disabled(catalog, namespace, cannot):
        return away
    problem = _quarantine(catalog, namespace)
    if problem:
        hint = f"Reinstall or upgrade it: {installer.to_upgrade(problem.distribution)}{instead}"
        return UnknownName(f"{meant}{problem}.", hint=hint, suggestions=others)
    if namespace in FIRST_PARTY:
        return UnknownName(
            f"{cannot}zoo-{namespace} is not installed.",
            hint=f"{installer.to_install(f'zoo-{namespace}')}{instead}",
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


def disabled(catalog: Catalog, namespace: str, sentence: str) -> UnknownName | None:
    """The plugin of that namespace is disabled: by what, and what lets it in; None if it is not.

    Args:
        catalog: all components.
        namespace: the plugin's.
        sentence: what the message begins with.
    """
    for source in catalog.disabled:
        if source.namespace == namespace and source.off:
            return UnknownName(f"{sentence}{disabled_line(source)}.", hint=source.off.undo)
    return None


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


def _away(catalog: Catalog, kind: Kind) -> Iterator[str]:
    """Sentences on plugins that are not here, and that may have the name."""
    home = HOME[kind]
    sources = {one.namespace: one for one in catalog.disabled}
    if home not in sources and all(one.namespace != home for one in catalog.listed):
        state = "quarantined" if _quarantine(catalog, home) else "not installed"
        yield f"zoo-{home}, whose names need no namespace, is {state}."
    told = [
        f"{disabled_line(one)} ({one.off.undo.rstrip('.')})" for one in catalog.disabled if one.off
    ]
    if told:
        more = f", and {len(told) - _LINES} more" if told[_LINES:] else ""
        yield f"Not looked at: {', '.join(told[:_LINES])}{more}."


def disabled_line(source: Source) -> str:
    """That a plugin is disabled, and by what."""
    by = f" by {source.off.by}" if source.off else ""
    return f"{source.distribution} {source.version} is disabled{by}"


def _quarantine(catalog: Catalog, namespace: str) -> Problem | None:
    """The plugin of that namespace that is out."""
    owned = (
        one
        for one in catalog.problems
        if one.distribution.removeprefix("zoo-") == namespace
        and (namespace not in FIRST_PARTY or one.distribution == f"zoo-{namespace}")
    )
    return next(owned, None)


def _full_names(listed: Iterable[Listed]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.full_name for one in listed))


def _try(names: Sequence[str]) -> str:
    shown, more = names[:8], len(names) - 8
    return f"Try {', '.join(shown)}{f' (and {more} more)' if more > 0 else ''}."
