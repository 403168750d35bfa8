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
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import folders, toml
from zoo.errors import InputMissing, StorageFault, UnknownName, ZooError
from zoo.near import near
from zoo.options import did_you_mean, refuse
from zoo.plugins import basis
from zoo.registry_file import BUILT_IN, ENTRY_NAME, OWN, REQUIRES, Layer, Placed, judge
from zoo.spec import MAX_LENGTH, NAMESPACE, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

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
    """

    name: str
    spec: str
    summary: str
    settings: Mapping[str, Placed]
    origin: str
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Registry:
    """All layers, merged.

    Args:
        defaults: settings that hold for every run unless its entry or command line says otherwise.
        entries: by name, sorted.
        problems: what is wrong with registry files that plugins ship; those files are left out.
    """

    defaults: Mapping[str, Placed] = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def entry(self, name: str) -> Entry:
        """The entry of that name.

        Raises:
            UnknownName: there is none; the hint lists near names.
            SpecError: this could be no entry's name.
        """
        if name in self.entries:
            return self.entries[name]
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


def load(
    file: Path | None = None, *, shipped: Iterable[tuple[str, str]] = (), own: bool = True
) -> Registry:
    """Read and merge all layers.

    Args:
        file: what `--registry` names; the topmost layer.
        shipped: (namespace, `"package:file.toml"`) of plugins' files, as a catalog has them.
        own: whether the user's file and the working directory's count.

    Raises:
        UsageError: naming all that is wrong in any layer but the plugins', with file and line.
        InputMissing: `file` is not there.
    """
    base = judge(toml.read(built_in(), label=BUILT_IN))
    layers = [base]
    faults: list[str] = []
    for namespace, resource in shipped:
        try:
            layer = _shipped(namespace, resource)
            _merge([base, layer])  # on its own, so that its faults stay its own
        except ZooError as error:
            faults.append(error.message)
        else:
            layers.append(layer)
    layers += [judge(toml.read(path, label=_label(path))) for path in _own_files() if own]
    layers += [judge(toml.read(file, label=_label(file)))] if file else []
    return replace(_merge(layers), problems=tuple(faults))


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


def _shipped(namespace: str, resource: str) -> Layer:
    """A plugin's file, its entries under its namespace."""
    layer = judge(toml.read(_inside(resource), label=resource))
    if layer.defaults:
        layer.problems.append(f"{resource}: a plugin cannot set defaults")
    for keys in layer.entries.values():
        base = keys.get("extends")
        if base and base.value in layer.entries:
            keys["extends"] = Placed(f"{namespace}/{base.value}", base.origin)
    layer.entries = {f"{namespace}/{name}": keys for name, keys in layer.entries.items()}
    return layer


def _inside(resource: str) -> Path:
    """The file `"package.part:file.toml"`, found without importing the package."""
    file = basis.resource(resource)
    if not file:
        package = resource.partition(":")[0].partition(".")[0]
        raise InputMissing(f"There is no package {package!r} for the registry file {resource}.")
    return Path(file)


def _merge(layers: Iterable[Layer]) -> Registry:
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
                found.append(_orphan(name, keys, raw))
    entries = {}
    for name in sorted(raw):
        chain, wrong = _chain(name, raw)
        found += wrong
        if not wrong:
            entries[name] = _entry(chain, raw)
    refuse(list(dict.fromkeys(found)))
    return Registry(defaults, entries)


def _orphan(name: str, keys: Mapping[str, Placed], raw: Mapping[str, object]) -> str:
    origin = next(iter(keys.values())).origin if keys else FILE
    return f"{origin}: entry {name} has neither spec nor extends{did_you_mean(name, raw)}"


def _chain(name: str, raw: Mapping[str, dict[str, Placed]]) -> tuple[list[str], list[str]]:
    """The entry and those that it extends, nearest first; and what is wrong with that."""
    chain = [name]
    while "extends" in raw[chain[-1]]:
        value, origin = raw[chain[-1]]["extends"]
        base = str(value)
        if base not in raw:
            return chain, [f"{origin}: extends {base!r} is no entry{did_you_mean(base, raw)}"]
        if base in chain:
            return chain, [f"{origin}: extends goes in a circle: {' > '.join([*chain, base])}"]
        if len(chain) == _MAX_CHAIN:
            return chain, [f"{origin}: extends goes through more than {_MAX_CHAIN} entries"]
        chain.append(base)
    return chain, []


def _entry(chain: list[str], raw: Mapping[str, dict[str, Placed]]) -> Entry:
    keys: dict[str, Placed] = {}
    for name in reversed(chain):
        keys |= raw[name]
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
