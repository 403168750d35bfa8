"""The catalog: every component of every installed plugin, frozen, with its owner."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from zoo import installer
from zoo.components import KINDS, Component, Kind
from zoo.errors import PluginFault
from zoo.imports import uncollected
from zoo.plugins import basis, selection
from zoo.plugins.distributions import Source, own_files, unheeded
from zoo.plugins.guard import undisturbed
from zoo.plugins.loader import Offer, Problem, offers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: components that a repr in a notebook shows of each kind
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Listed:
    """A component with what only the host may say of it.

    Args:
        kind: backbone, head or loss.
        namespace: its plugin's.
        plugin: the distribution that offers it.
        version: of that distribution.
        component: what the plugin said of it.
    """

    kind: Kind
    namespace: str
    plugin: str
    version: str
    component: Component

    @property
    def full_name(self) -> str:
        """Namespace and name, as a spec may write them: `timm/resnet18`."""
        return f"{self.namespace}/{self.component.name}"

    @property
    def owner(self) -> str:
        """The distribution and its version, for messages: `zoo-timm 0.1.0`."""
        return f"{self.plugin} {self.version}"


@dataclass(frozen=True, repr=False)
class Catalog:
    """All that the installed plugins offer; it never changes once it is made.

    Args:
        listed: sorted by kind (backbones, heads, losses), namespace and name.
        problems: of the plugins that are out, or that cost their users something.
        entries_resources: (namespace, `"package:file.toml"`, distribution, version) of each
            registry file that they ship.
        disabled: plugins that the user disabled, of which nothing is listed.
        fresh: distributions that were asked just now, for the first time since they changed.
        notes: what else the user should hear, one line each.
        stands_on: the basis of all that; None where an answer from it must not be kept.
    """

    listed: tuple[Listed, ...]
    problems: tuple[Problem, ...] = ()
    entries_resources: tuple[tuple[str, str, str, str], ...] = ()
    disabled: tuple[Source, ...] = ()
    fresh: tuple[str, ...] = field(default=(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    stands_on: basis.Basis | None = field(default=None, compare=False)

    def of(self, kind: Kind) -> tuple[Listed, ...]:
        """All components of one kind."""
        return tuple(one for one in self.listed if one.kind == kind)

    def get(self, full_name: str, kind: Kind | None = None) -> Listed | None:
        """The component of that full name (`timm/resnet18`), or None.

        Args:
            full_name: namespace and name, or alias.
            kind: of this kind only; without it, the first of backbone, head and loss that has it.
        """
        namespace, _, name = full_name.partition("/")
        kinds = KINDS if kind is None else (kind,)
        found = (one for each in kinds for one in self.named(each, name))
        return next((one for one in found if one.namespace == namespace), None)

    def named(self, kind: Kind, name: str) -> tuple[Listed, ...]:
        """All components of a kind that answer to a bare name (or alias), one per namespace."""
        return tuple(self._by_name.get((kind, name), ()))

    @cached_property
    def _by_name(self) -> Mapping[tuple[Kind, str], list[Listed]]:
        named = defaultdict(list)
        for one in self.listed:
            for name in (one.component.name, *one.component.aliases):
                named[one.kind, name].append(one)
        return named

    def __repr__(self) -> str:
        """A few lines: how many of each kind, from where, and what is out."""
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        """The same for notebooks."""
        from html import escape

        return f"<pre>{escape(repr(self))}</pre>"

    def _lines(self) -> Iterable[str]:
        counts = Counter(one.kind for one in self.listed)
        yield f"Catalog of {', '.join(_count(kind, counts[kind]) for kind in KINDS)}"
        for kind in KINDS:
            names = [one.full_name for one in self.of(kind)]
            more = f", ... {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            yield f"  {kind:9}{', '.join(names[:_SHOWN])}{more}"
        yield from (f"  {problem}" for problem in self.problems)


def _count(kind: Kind, number: int) -> str:
    plural = {"backbone": "backbones", "head": "heads", "loss": "losses"}
    return f"{number} {kind if number == 1 else plural[kind]}"


@cache
def catalog() -> Catalog:
    """The catalog of the plugins that are installed, read once per process.

    No plugin is imported here: each was surveyed in a process of its own when it was first seen,
    and the record of that is read from the cache folder. A plugin that fails is in `problems`.

    Raises:
        UsageError: config.toml is wrong.
        PluginFault: a plugin is quarantined, where ZOO_STRICT_PLUGINS makes that an error.
    """
    begun = basis.begin()
    offered = offers()
    whole = replace(assemble(offered), stands_on=_basis(begun, offered))
    refuse_quarantined(whole.problems)
    return whole


def refuse_quarantined(problems: Iterable[Problem]) -> None:
    """In strict mode, make an error of the plugins that are out.

    Raises:
        PluginFault: naming each of them, with the reason and the line to type.
    """
    out = [f"{problem}" for problem in problems if problem.quarantined]
    if out and selection.current().strict:
        raise PluginFault("\n".join(out), hint="In strict mode a quarantined plugin is an error.")


def _basis(begun: basis.Basis, offered: Iterable[Offer]) -> basis.Basis | None:
    """What a catalog of these offers stands on."""
    asked = [offer for offer in offered if offer.source.asked]
    looked_at = [(offer.source.module, offer.source.files) for offer in asked]
    looked_at.append(("zoo", own_files()))  # a checkout may be worked on
    return basis.complete(
        begun,
        [offer.record for offer in asked],
        {module: files for module, files in looked_at if files is not None},
        failed=any(offer.problem and offer.problem.quarantined for offer in asked),
    )


def assemble(offered: Iterable[Offer]) -> Catalog:
    """One catalog from what each plugin offers, stamped with its owner."""
    offered = tuple(offered)
    listed = [
        Listed(kind, offer.source.namespace, offer.source.distribution, offer.source.version, one)
        for offer in offered
        for kind, components in offer.components.items()
        for one in components
    ]
    listed.sort(key=lambda one: (KINDS.index(one.kind), one.namespace, one.component.name))
    return Catalog(
        listed=tuple(listed),
        problems=tuple(offer.problem for offer in offered if offer.problem),
        entries_resources=tuple(
            (source.namespace, entry, source.distribution, source.version)
            for offer, source in ((offer, offer.source) for offer in offered)
            for entry in offer.entries
        ),
        disabled=tuple(offer.source for offer in offered if offer.source.off),
        fresh=tuple(
            offer.source.distribution
            for offer in offered
            if offer.source.asked and offer.record is None
        ),
        notes=tuple(unheeded([offer.source for offer in offered])),
    )


def load_target(listed: Listed) -> Callable[..., Any]:
    """The function that builds a component, from its plugin's hot half, imported into this process.

    Raises:
        Unavailable: a distribution that the component requires is not installed, or too old.
        PluginFault: the import fails, or there is no such function; names the distribution.
    """
    check_requirements(listed)
    module, _, attribute = listed.component.target.partition(":")
    try:
        with undisturbed(), uncollected():
            target = getattr(import_module(module), attribute)
    except (Exception, SystemExit) as error:
        raise PluginFault(
            f"{listed.full_name} of {listed.owner} cannot be loaded from "
            f"{listed.component.target}: {type(error).__name__}: {error}",
            hint=f"Reinstall or upgrade it: {installer.to_upgrade(listed.plugin)}",
        ) from error
    if not callable(target):
        raise PluginFault(
            f"{listed.full_name} of {listed.owner} names {listed.component.target}, "
            f"which is {target!r:.60} and cannot be called.",
            hint=f"Tell the authors of {listed.plugin}.",
        )
    return target


def check_requirements(listed: Listed) -> None:
    """Look for what a component requires beyond its plugin, in metadata alone.

    Raises:
        Unavailable: a distribution is not installed, or of another version; all of them are named.
    """
    if listed.component.requires:
        from zoo.plugins.requirements import refuse_unmet

        refuse_unmet(f"{listed.full_name} of {listed.owner}", listed.component.requires)
