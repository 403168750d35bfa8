"""Registry files: named recipes (entries) and defaults, in layers, each value with its origin.

::

    schema = 1

    [defaults]                      # settings of every run
    seed = 3

    [entries.flowers]               # zoo run flowers --data ./flowers
    spec = "resnet18+linear+cekl"
    summary = "What we use for flowers."
    train = "probe"
    probe.epochs = 50
    head.dropout = 0.1              # an option of the spec's head

    [entries.flowers_large]
    extends = "flowers"             # what is not written here comes from there
    image_size = 384

Layers, each over the one before: built in, plugins' (under their namespace), the user's
configuration folder, the working directory, `--registry FILE`. A later layer's entry that names a
`spec` or an `extends` starts anew; one that does not changes single values of the entry below it.
An option of a component that stands apart (`head.dropout`) goes before the entry's spec, and a spec
before all that the entry extends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo import folders, toml
from zoo.components import KINDS
from zoo.errors import InputMissing, SpecError, StorageFault, UnknownName, ZooError
from zoo.near import near
from zoo.options import did_you_mean, refuse
from zoo.plugins import basis
from zoo.registry_file import BUILT_IN, ENTRY_NAME, OWN, REQUIRES, Layer, Placed, judge
from zoo.spec import MAX_LENGTH, NAMESPACE, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

FILE = folders.REGISTRY
#: no real chain of `extends` is longer
_MAX_CHAIN = 16


@dataclass(frozen=True, slots=True)
class Entry:
    """A named recipe.

    Args:
        name: what `zoo run` takes; a plugin's entries have its namespace before them.
        spec: backbone+head+loss, as written.
        summary: one line.
        settings: settings and component options (`head.dropout`) that it sets.
        origin: where its spec or its `extends` is written.
        requires: PEP 508 requirements of plugins, its own and those of what it extends.
        plugin: the distribution that ships it; empty for entries of zoo's and the user's files.
        version: of that distribution.
    """

    name: str
    spec: str
    summary: str
    settings: Mapping[str, Placed]
    origin: str
    requires: tuple[str, ...] = ()
    plugin: str = ""
    version: str = ""

    @property
    def owner(self) -> str:
        """The distribution and its version, for messages; empty without one."""
        return f"{self.plugin} {self.version}".strip()


class Shipped(NamedTuple):
    """A registry file of a plugin.

    Args:
        namespace: of the plugin; its entries stand under it.
        resource: `"package:file.toml"`.
        plugin: the distribution.
        version: of the distribution.
    """

    namespace: str
    resource: str
    plugin: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Registry:
    """All layers, merged.

    Args:
        defaults: settings that hold for every run unless its entry or command line says otherwise.
        entries: by name, sorted.
        problems: what is wrong with registry files that plugins ship, which are left out, and with
            entries that extend what a plugin would have to ship, or in a circle, likewise.
        left_out: the namespace of such a file, or the name of such an entry, and the reason.
    """

    defaults: Mapping[str, Placed] = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    def entry(self, name: str) -> Entry:
        """The entry of that name.

        Raises:
            UnknownName: there is none; the hint lists near names.
            SpecError: this could be no entry's name.
        """
        if name in self.entries:
            return self.entries[name]
        if reason := self.reason(name):
            raise UnknownName(
                f"There is no entry {name!r}; it may be in what was left out: {reason}",
                hint="Mend that file, or tell its authors: zoo plugins shows whose it is.",
            )
        if len(name) > MAX_LENGTH or not re.fullmatch(
            rf"(?:{NAMESPACE}/)?{ENTRY_NAME.pattern}", name
        ):
            parse(name)  # says where it goes wrong
        found = near(name, self.entries)
        hint = f"Did you mean {', '.join(found)}? " if found else ""
        raise UnknownName(
            f"There is no entry {name!r} in any registry.",
            hint=f"{hint}A spec is backbone+head+loss; zoo list --kind entry names the entries.",
            suggestions=found,
        )

    def reason(self, name: str) -> str:
        """Why an entry of that name may have been left out; empty where nothing was."""
        namespace, slash, _ = name.partition("/")
        return self.left_out.get(name) or (self.left_out.get(namespace, "") if slash else "")


def load(
    file: Path | None = None, *, shipped: Iterable[Sequence[str]] = (), own: bool = True
) -> Registry:
    """Read and merge all layers.

    What a plugin ships stands under its namespace and extends its own or the built-in entries, as
    they were shipped: it can change no entry and no default of anybody else's, and no file of the
    user's changes what it means. A faulty file costs that file alone, and a circle of entries,
    whosever it is, those in it and those that extend them.

    Args:
        file: what `--registry` names; the topmost layer.
        shipped: plugins' files as a catalog has them: the parts of a `Shipped` each.
        own: whether the user's file and the working directory's count.

    Raises:
        UsageError: naming all that is wrong in any layer but the plugins', with file and line.
        InputMissing: `file` is not there.
    """
    base = judge(toml.read(built_in(), label=BUILT_IN))
    files = [Shipped(*one) for one in shipped]
    layers, left_out = _shipped_layers(base, files)
    layers += [judge(toml.read(path, label=_label(path))) for path in _own_files() if own]
    layers += [judge(toml.read(file, label=_label(file)))] if file else []
    merged = _merge([base, *layers], left_out)
    problems = tuple(dict.fromkeys(merged.left_out.values()))
    return replace(merged, entries=_owned(merged.entries, files), problems=problems)


def _shipped_layers(base: Layer, files: Sequence[Shipped]) -> tuple[list[Layer], dict[str, str]]:
    """The layers of the plugins' good files; what of the others, and of entries, is left out."""
    layers: dict[str, list[Layer]] = {}
    left_out: dict[str, str] = {}
    for one in files:
        own = layers.setdefault(one.namespace, [])
        try:
            layer, circles = _shipped(one, [base, *own])
            own.append(layer)
            left_out |= circles
        except ZooError as error:
            before = left_out.get(one.namespace)
            left_out[one.namespace] = "\n".join(filter(None, [before, error.message]))
    return [layer for own in layers.values() for layer in own], left_out


def _owned(entries: Mapping[str, Entry], files: Sequence[Shipped]) -> dict[str, Entry]:
    """The entries, those of plugins with whose they are."""
    owners = {one.namespace: {"plugin": one.plugin, "version": one.version} for one in files}
    return {
        name: replace(entry, **owners.get(name.partition("/")[0], {})) if "/" in name else entry
        for name, entry in entries.items()
    }


def built_in() -> Path:
    """The registry that zoo ships: in the package in a wheel, beside it in a checkout."""
    return Path(folders.built_in_registry())


def _own_files() -> Iterator[Path]:
    """The user's file and the working directory's, where they are and are not the built-in one."""
    for path in (folders.config() / FILE, Path(FILE)):
        try:
            there = path.is_file() and not path.samefile(built_in())
        except OSError as error:
            hint = "Make it readable, or let ZOO_CONFIG name another folder."
            raise StorageFault(f"{path} cannot be read: {error.strerror}.", hint=hint) from error
        if there:
            yield path


def _label(path: Path) -> str:
    """The path as seen from the working directory."""
    here = Path.cwd()
    full = path if path.is_absolute() else here / path
    return str(full.relative_to(here) if full.is_relative_to(here) else full)


def _shipped(file: Shipped, below: Sequence[Layer]) -> tuple[Layer, Mapping[str, str]]:
    """A plugin's file: its entries under its namespace, each whole by itself; and those left out.

    Args:
        file: which.
        below: the built-in layer, and those of the same plugin's earlier files.

    Raises:
        ZooError: naming all that is wrong with it.
    """
    namespace, resource = file.namespace, file.resource
    layer = judge(toml.read(_inside(resource), label=resource))
    if layer.defaults:
        layer.problems.append(f"{resource}: a plugin cannot set defaults")
    known = {name for one in below for name in one.entries}
    for keys in layer.entries.values():
        base = keys.get("extends")
        own = f"{namespace}/{base.value}" if base else ""
        if base and (base.value in layer.entries or own in known):
            keys["extends"] = Placed(own, base.origin)
    named = {f"{namespace}/{name}": keys for name, keys in layer.entries.items()}
    layer.entries = named
    layer.problems += [
        f"{_origin(name, layer)}: another file of the plugin has the entry {name} as well"
        for name in named
        if name in known
    ]
    merged = _merge([*below, layer])  # apart from all others, so that its faults stay its own
    layer.entries = {
        name: _whole(merged.entries[name]) for name in named if name not in merged.left_out
    }
    return layer, merged.left_out


def _whole(entry: Entry) -> dict[str, Placed]:
    """An entry's keys with those of what it extends, so that it depends on no other any more."""
    keys = {"spec": Placed(entry.spec, entry.origin), **entry.settings}
    if entry.summary:
        keys["summary"] = Placed(entry.summary, entry.origin)
    if entry.requires:
        keys[REQUIRES] = Placed("\n".join(entry.requires), entry.origin)
    return keys


def _inside(resource: str) -> Path:
    """The file `"package.part:file.toml"`, found without importing the package."""
    file = basis.resource(resource)
    if not file:
        package = resource.partition(":")[0].partition(".")[0]
        raise InputMissing(f"There is no package {package!r} for the registry file {resource}.")
    return Path(file)


def _merge(layers: Iterable[Layer], left_out: Mapping[str, str] | None = None) -> Registry:
    """All layers as one.

    Args:
        layers: each over the one before.
        left_out: namespaces of which a file is left out, and why; None where what extends an entry
            of a plugin's that is not there is an error, and not left out as well.

    Raises:
        UsageError: naming all that is wrong.
    """
    defaults: dict[str, Placed] = {}
    raw: dict[str, dict[str, Placed]] = {}
    found: list[str] = []
    for layer in layers:
        found += layer.problems
        defaults |= layer.defaults
        for name, keys in layer.entries.items():
            if "spec" in keys or "extends" in keys:
                raw[name] = keys
            elif name in raw:
                raw[name] = raw[name] | keys
            elif not layer.problems:
                found.append(_orphan(name, layer, raw))
    entries: dict[str, Entry] = {}
    out = dict(left_out or {})
    for name in sorted(raw):
        chain, wrong = _chain(name, raw)
        if not wrong:
            entries[name] = _entry(chain, raw)
        elif _is_round(chain, raw) or (left_out is not None and _wants_plugin(chain, raw)):
            out[name] = wrong[0]
        else:
            found += wrong
    refuse(list(dict.fromkeys(found)))
    return Registry(defaults, entries, left_out=out)


def _wants_plugin(chain: Sequence[str], raw: Mapping[str, Mapping[str, Placed]]) -> bool:
    """Whether a chain ends at a plugin's entry that is not there."""
    base = str(raw[chain[-1]]["extends"].value)
    return "/" in base and base not in raw


def _is_round(chain: Sequence[str], raw: Mapping[str, Mapping[str, Placed]]) -> bool:
    """Whether a chain ends at an entry that it has been at."""
    return str(raw[chain[-1]]["extends"].value) in chain


def _orphan(name: str, layer: Layer, raw: Mapping[str, object]) -> str:
    where = _origin(name, layer)
    return f"{where}: entry {name} has neither spec nor extends{did_you_mean(name, raw)}"


def _origin(name: str, layer: Layer) -> str:
    """Where an entry is written: its first key, or its table where that is empty."""
    keys = layer.entries[name]
    return next(iter(keys.values())).origin if keys else layer.places[name.rpartition("/")[2]]


def _chain(name: str, raw: Mapping[str, dict[str, Placed]]) -> tuple[list[str], list[str]]:
    """The entry and those that it extends, nearest first; and what is wrong with that."""
    chain = [name]
    while "extends" in raw[chain[-1]]:
        value, origin = raw[chain[-1]]["extends"]
        base = str(value)
        if base not in raw:
            return chain, [f"{origin}: extends {base!r} is no entry{did_you_mean(base, raw)}"]
        if base in chain:
            return chain, [_circle(chain[chain.index(base) :], raw)]
        if len(chain) == _MAX_CHAIN:
            return chain, [f"{origin}: extends goes through more than {_MAX_CHAIN} entries"]
        chain.append(base)
    return chain, []


def _circle(names: Sequence[str], raw: Mapping[str, Mapping[str, Placed]]) -> str:
    """That entries extend each other: one sentence, at whichever of them the circle was entered."""
    first = names.index(min(names))
    told = " > ".join([*names[first:], *names[:first], names[first]])
    return f"{raw[names[first]]['extends'].origin}: extends goes in a circle: {told}"


def _options(spec: str) -> set[str]:
    """Options that a spec states, as an entry's keys name them; none of one that does not parse."""
    try:
        parts = parse(spec).parts
    except SpecError:
        return set()
    return {
        f"{kind}.{key}" for kind, part in zip(KINDS, parts, strict=True) for key, _ in part.options
    }


def _entry(chain: list[str], raw: Mapping[str, dict[str, Placed]]) -> Entry:
    keys: dict[str, Placed] = {}
    for name in reversed(chain):
        said = _options(str(raw[name]["spec"].value)) if "spec" in raw[name] else set()
        keys = {key: one for key, one in keys.items() if key not in said} | raw[name]
    own = raw[chain[0]]
    return Entry(
        name=chain[0],
        spec=str(keys["spec"].value),
        summary=str(own["summary"].value) if "summary" in own else "",
        settings={key: placed for key, placed in keys.items() if key not in OWN},
        origin=(own.get("extends") or own["spec"]).origin,
        requires=tuple(
            dict.fromkeys(
                text
                for name in reversed(chain)
                if REQUIRES in raw[name]
                for text in str(raw[name][REQUIRES].value).splitlines()
            )
        ),
    )
