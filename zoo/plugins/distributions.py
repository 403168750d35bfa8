"""Which installed distributions are plugins: read from their metadata, without importing them."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections import defaultdict
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import __version__, config
from zoo.hooks import GROUP
from zoo.installer import HOST
from zoo.owners import FIRST_PARTY
from zoo.plugins import basis, selection
from zoo.spec import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Sequence

#: raised when what the child writes changes its meaning
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Source:
    """An installed distribution that offers components.

    Args:
        distribution: its name, normalised (`zoo-timm`).
        version: as its metadata states it.
        namespace: the distribution's name less a leading `zoo-`.
        module: what its entry point names; importing it must be cheap.
        fingerprint: changes whenever the plugin might list something else.
        refused: why it is not even imported, in one line; empty when it may come in.
        point: the name of its entry point.
        off: what disables it, in which case it is not imported either; None where nothing does.
        hidden: version and place of each further copy on the path, of which nothing is used.
        files: those of its package, where their stamps decide; None where its RECORD does.
    """

    distribution: str
    version: str
    namespace: str
    module: str
    fingerprint: str
    refused: str = ""
    point: str = ""
    off: selection.Off | None = None
    hidden: tuple[str, ...] = ()
    files: basis.Files | None = field(default=None, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """What it answers to: distribution, namespace, entry point."""
        return self.distribution, self.namespace, self.point

    @property
    def asked(self) -> bool:
        """Whether it may be imported and asked what it offers."""
        return not self.refused and self.off is None


def normalised(name: str) -> str:
    """A distribution's name as package registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def sources(path: Sequence[str] | None = None) -> tuple[Source, ...]:
    """Every installed plugin, by name; of two copies the first on the path counts.

    Distributions that claim one namespace are all refused, each naming the others; those that are
    disabled claim nothing.

    Args:
        path: folders to look in; `sys.path` if None.

    Raises:
        UsageError: config.toml is wrong.
    """
    where = list(sys.path if path is None else path)
    named = (_name_of_plugin(found) for found in metadata.distributions(path=where))
    names = {name for name in named if name}
    copies = ([*metadata.distributions(name=one, path=where)] for one in sorted(names))
    # The first of a name counts even if only a later copy of it is a plugin. There may be none: it
    # is being removed, or its metadata and its folder differ in the name.
    counting = [(first, rest) for first, *rest in filter(None, copies) if _name_of_plugin(first)]
    found = [replace(_source(one), hidden=_hidden(one, rest)) for one, rest in counting]
    return without_rivals(_chosen(found))


def called(name: str, found: Sequence[Source]) -> list[Source]:
    """Those that a name means: of that distribution, else namespace, else entry point.

    There may be several, which share a namespace or the name of an entry point, or none.
    """
    for place in range(3):
        matching = [one for one in found if one.names[place] in (name, normalised(name))]
        if matching:
            return matching
    return []


def _chosen(found: list[Source]) -> list[Source]:
    """The same, those that the user disabled marked as such."""
    selected, disabled = selection.current(), {*map(normalised, config.names("disabled"))}
    meant = {
        name: {one.distribution for one in called(name, found)} for name, _ in selected.named()
    }
    return [
        replace(one, off=selection.off(one.distribution, selected, meant, disabled))
        for one in found
    ]


def unheeded(found: Sequence[Source]) -> list[str]:
    """A line for each name that the user selects plugins by, and that no installed one has."""
    known = [one.distribution for one in found]
    there = f"There is: {', '.join(known)}." if known else "No plugin is installed."
    return [
        f"{place}: no installed plugin is called {name}. {there}"
        for name, place in selection.current().named()
        if not called(name, found)
    ]


def _hidden(first: metadata.Distribution, rest: list[metadata.Distribution]) -> tuple[str, ...]:
    """The further copies that are not the first one, met again by another way."""
    places = {_place(one): one for one in reversed(rest) if _place(one) != _place(first)}
    return tuple(f"{one.version} in {place}" for place, one in reversed(places.items()))


def _place(distribution: metadata.Distribution) -> Path:
    return Path(str(distribution.locate_file(""))).resolve()


def _name_of_plugin(distribution: metadata.Distribution) -> str:
    """A plugin's normalised name; empty for every other distribution, and for half-removed ones."""
    try:
        offers = f"[{GROUP}]" in (distribution.read_text("entry_points.txt") or "")
        return normalised(distribution.metadata["Name"] or "") if offers else ""
    except (OSError, ValueError, KeyError):
        return ""


def _source(distribution: metadata.Distribution) -> Source:
    name = _name_of_plugin(distribution)
    namespace = name.removeprefix("zoo-")
    version = distribution.metadata["Version"] or "of unknown version"
    try:
        points = [point for point in distribution.entry_points if point.group == GROUP]
        files = stamped_files(distribution, points[0].value)
        fingerprint = _fingerprint(distribution, points[0].value, files)
    except Exception as error:  # noqa: BLE001 - the metadata is a stranger's as well
        reason = f"its metadata cannot be read: {type(error).__name__}: {error}"
        return Source(name, version, namespace, module="", fingerprint="", refused=reason)
    return Source(
        distribution=name,
        version=version,
        namespace=namespace,
        module=points[0].value,
        fingerprint=fingerprint,
        refused=_refusal(name, namespace, points),
        point=points[0].name,
        files=files,
    )


def _refusal(name: str, namespace: str, points: list[metadata.EntryPoint]) -> str:
    """What the metadata alone says against a plugin."""
    if not re.fullmatch(NAMESPACE, namespace):
        return f"its namespace {namespace!r} is not of the form [a-z][a-z0-9-]*"
    if namespace in FIRST_PARTY and name != f"zoo-{namespace}":
        return f"{name} claims the namespace {namespace!r}, which belongs to zoo-{namespace}"
    if len(points) > 1:
        modules = ", ".join(sorted(point.value for point in points))
        return f"it has {len(points)} entry points in the group {GROUP!r} ({modules}), not one"
    if not re.fullmatch(r"\w+(\.\w+)*", points[0].value):
        return f"its entry point {points[0].value!r} is not the name of a module"
    return ""


def without_rivals(found: Sequence[Source]) -> tuple[Source, ...]:
    """Refuse those that share a namespace; who is right is not for zoo to guess."""
    holders: dict[str, list[str]] = defaultdict(list)
    for source in found:
        if source.asked:
            holders[source.namespace].append(source.distribution)
    return tuple(
        replace(source, refused=_rivalry(source.namespace, holders[source.namespace]))
        if source.asked and len(holders[source.namespace]) > 1
        else source
        for source in found
    )


def _rivalry(namespace: str, holders: list[str]) -> str:
    longest = max(holders, key=len)
    return (
        f"{' and '.join(holders)} both claim the namespace {namespace!r}; uninstall one, or type: "
        f"zoo plugins disable {longest}"
    )


def _fingerprint(
    distribution: metadata.Distribution, module: str, files: basis.Files | None
) -> str:
    """A hash over all that may change what the plugin lists: its files and what it stands on."""
    parts = [
        f"{SCHEMA} {__version__} {sys.version_info[:2]}",
        f"{distribution.metadata['Name']} {distribution.version} {module}",
        distribution.read_text("RECORD") or "",
        *_requirements(distribution),
        *(f"{file} {size} {changed}" for file, size, changed in files or ()),
    ]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def stamped_files(distribution: metadata.Distribution, module: str) -> basis.Files | None:
    """The stamps of the plugin's files, where they must stand in for its RECORD; else None.

    RECORD holds the hash of every installed file, but there may be none, or it names only a pointer
    to a source folder (an editable install).
    """
    return None if is_recorded(distribution) else basis.files_of(module)


def is_recorded(distribution: metadata.Distribution) -> bool:
    """Whether its RECORD names all that is installed of it."""
    return distribution.read_text("RECORD") is not None and not is_editable(distribution)


def own_files() -> basis.Files | None:
    """The same for zoo itself."""
    try:
        return stamped_files(metadata.distribution(HOST), "zoo")
    except metadata.PackageNotFoundError:
        return basis.files_of("zoo")


def _requirements(distribution: metadata.Distribution) -> list[str]:
    """`name version` of each direct requirement that is installed: a new timm is a new list."""
    found = []
    for requirement in distribution.requires or ():
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        try:
            found.append(f"{name[0]} {metadata.version(name[0])}" if name else requirement)
        except metadata.PackageNotFoundError:
            found.append(f"{requirement} is missing")
    return found


def is_editable(distribution: metadata.Distribution) -> bool:
    """Whether it is a source folder that is worked on, and not a copy of one."""
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return True
    return bool(origin.get("dir_info", {}).get("editable"))
