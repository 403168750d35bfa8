"""The checks that need no torch: over what two listings in processes of their own told.

Each takes the `Told` and gives complaints, one sentence each; none means that it passed.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from zoo import registry
from zoo.components import KINDS, Component, Kind
from zoo.errors import ZooError
from zoo.index import Catalog, assemble
from zoo.owners import FIRST_PARTY
from zoo.plugins import basis
from zoo.plugins.child import HEAVY
from zoo.plugins.loader import Offer, offers
from zoo.resolve import resolve
from zoo.spec import parse
from zoo.testing import imported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from zoo.components import Weights
    from zoo.plugins.distributions import Source

#: seconds of processor that importing and asking may take; a run pays them before it begins
CPU = 0.5
#: seconds by the clock, for what waits instead; generous, since a machine may be busy
WALL = 2.0
#: libraries beside those of `zoo.plugins.child` that cost more than listing may
_HEAVY = HEAVY | {
    *("cv2", "keras", "lightning", "matplotlib", "mlflow", "onnxruntime", "pandas"),
    *("pytorch_metric_learning", "scipy", "sklearn", "tensorboard"),
}
#: libraries that zoo's own cold rooms import
_LIGHT = {"PIL", "click", "numpy", "packaging", "platformdirs", "pluggy", "rich", "zoo"}
#: how many hex digits of a file's hash torch and its libraries put into its name
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.(?:pth?|safetensors|bin)$")


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a plugin when it has been listed twice.

    Args:
        source: its distribution.
        path: the import path under which it was listed.
        listings: what `zoo.testing.listing.observe` gave, in two processes.
        components: by kind.
    """

    source: Source
    path: tuple[str, ...]
    listings: Sequence[Mapping[str, Any]]
    components: Mapping[Kind, Sequence[Component]]

    def each(self) -> Iterator[tuple[Kind, Component]]:
        """Every component with its kind."""
        for kind, found in self.components.items():
            yield from ((kind, component) for component in found)

    def catalog(self) -> Catalog:
        """This plugin and the installed others, as a run would find them."""
        others = (one for one in offers() if one.source.distribution != self.source.distribution)
        own = Offer(self.source, components={kind: tuple(x) for kind, x in self.components.items()})
        return assemble((*others, own))


def light(told: Told) -> Iterator[str]:
    """Imports and time."""
    loaded = set(told.listings[0]["record"]["imported"])
    wrapped = imported.third_party(imported.packages(told.source.module, told.components))
    heavy = sorted(loaded & (_HEAVY | (wrapped - _LIGHT)))
    if heavy:
        yield f"listing imports {', '.join(heavy)}"
    for what, limit in (("cpu", CPU), ("wall", WALL)):
        least = min(listing[what] for listing in told.listings)
        if least > limit:
            word = "of processor" if what == "cpu" else "by the clock"
            yield f"listing takes {least:.2f} s {word}, more than {limit:g}"


def quiet(told: Told) -> Iterator[str]:
    """The process and the world."""
    yield from dict.fromkeys(
        f"listing: {words}"
        for listing in told.listings
        for words in (*listing["changed"], *listing["reached"])
        if not words.startswith("started a program")  # an installed library may be asked so
    )


def deterministic(told: Told) -> Iterator[str]:
    """Twice in one process, and in two."""
    if not all(listing["same"] for listing in told.listings):
        yield "asked a second time in the same process, it lists something else"
    first, second = (listing["record"] for listing in told.listings)
    for part in ("components", "entries"):
        if first[part] != second[part]:
            yield f"in another process, folder and hash seed it lists other {part}"


def round_trip(told: Told) -> Iterator[str]:
    """JSON and pickling."""
    yield from told.listings[0]["altered"]


def words(told: Told) -> Iterator[str]:
    """What people read and type."""
    for kind, component in told.each():
        names = {one.name for one in told.components[kind]}
        who = f"{kind} {component.name}"
        if component.name in component.aliases:
            yield f"{who} is an alias of itself"
        if not one_line(component.summary):
            yield f"{who}: its summary is not one line"
        for name, option in component.options.items():
            if not one_line(option.help):
                yield f"{who}: the help of {name} is not one line"
        gone = component.deprecated
        if gone is None:
            continue
        aliases = {alias for one in told.components[kind] for alias in one.aliases}
        if gone.use and not _lives(gone.use, told.source.namespace, names | aliases):
            yield f"{who} is deprecated for {gone.use!r}, which there is not"
        if gone.use.rpartition("/")[2] in {component.name, *component.aliases}:
            yield f"{who} is deprecated for itself"
        if not _is_version(gone.since):
            yield f"{who} is deprecated since {gone.since!r}, which is no version"


def one_line(text: str) -> bool:
    """Whether a text can stand in a table."""
    return text == text.strip() and text.isprintable()


def _lives(name: str, namespace: str, names: set[str]) -> bool:
    """Whether a component may be meant; another plugin's may be installed elsewhere."""
    owner, _, bare = name.rpartition("/")
    return bare.partition(".")[0] in names if owner in ("", namespace) else True


def _is_version(text: str) -> bool:
    try:
        return bool(Version(text))
    except InvalidVersion:
        return False


def figures(told: Told) -> Iterator[str]:
    """Numbers that can be judged without building anything."""
    for kind, component in told.each():
        who = f"{kind} {component.name}"
        stated = component.facts
        default = component.default_weights()
        if default and stated.input_size and default.preprocess.size != stated.input_size:
            yield (
                f"{who} states the input size {stated.input_size}, and its default weights "
                f"{default.preprocess.size}"
            )
        if stated.input_size and (len(stated.input_size) != 2 or min(stated.input_size) < 1):  # noqa: PLR2004 - height and width
            yield f"{who} states the input size {stated.input_size}, not (height, width)"
        for weights in component.weights:
            yield from (f"{who}.{weights.tag} {wrong}" for wrong in _weights(weights))


def _weights(weights: Weights) -> Iterator[str]:
    recipe = weights.preprocess
    if not all(0 <= value <= 1 for value in (*recipe.mean, *recipe.std)):
        yield f"normalises by {recipe.mean} and {recipe.std}, which are not of values in 0..1"
    if weights.top1 is not None and not 1 < weights.top1 <= 100:  # noqa: PLR2004 - percent
        yield f"states a top-1 accuracy of {weights.top1}, which is not percent"
    if weights.classes < 0:
        yield f"states {weights.classes} classes"
    named = _HASH_IN_NAME.search(weights.source)
    if named and weights.sha256 and not _agree(named[1], weights.sha256):
        yield f"states the sha256 {weights.sha256}, and its file is called {weights.source}"


def _agree(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def installed_weights(weights: Weights) -> Path | None:
    """The file of weights that come in an installed package; None for all others."""
    if not weights.source.startswith("package:"):
        return None
    module, _, file = weights.source.removeprefix("package:").partition("/")
    return Path(basis.resource(f"{module}:{file}"))


def is_stated(file: Path, sha256: str) -> bool:
    """Whether a file has that hash, whole or a prefix of it; an empty one says nothing."""
    return hashlib.sha256(file.read_bytes()).hexdigest().startswith(sha256)


def requirements(told: Told) -> Iterator[str]:
    """What its files import."""
    yield from imported.complaints(told.source, told.path, told.components)


def entries(told: Told) -> Iterator[str]:
    """Registry files: each recipe is one that a run would take."""
    resources = told.listings[0]["record"]["entries"]
    namespace = told.source.namespace
    shipped = [(namespace, resource) for resource in resources]
    try:
        book = registry.load(shipped=shipped, own=False)
    except (ZooError, OSError) as error:
        yield str(error).partition("\n")[0]
        return
    yield from book.problems
    taken = {name.rpartition("/")[2] for name in book.entries if "/" not in name}
    catalog = told.catalog()
    for name, entry in book.entries.items():
        owner, _, bare = name.rpartition("/")
        if owner != namespace:
            continue
        if bare in taken:
            yield f"its entry {bare} is called as one that zoo ships"
        yield from _bare_parts(told, name, entry.spec)
        try:
            resolve(name, {"weights": "none"}, catalog=catalog, book=book)
        except ZooError as error:
            yield f"its entry {name}: {error.message}"


def _bare_parts(told: Told, name: str, spec: str) -> Iterator[str]:
    """Own components without their namespace: only who prefers this plugin gets them."""
    if told.source.namespace in FIRST_PARTY:
        return
    for kind, part in zip(KINDS, parse(spec).parts, strict=True):
        own = {each for one in told.components.get(kind, ()) for each in (one.name, *one.aliases)}
        if not part.namespace and part.name in own:
            yield f"its entry {name} wants {told.source.namespace}/{part.name}, with the namespace"


CHECKS: dict[str, Callable[[Told], Iterator[str]]] = {
    "light": light,
    "quiet": quiet,
    "deterministic": deterministic,
    "round-trip": round_trip,
    "words": words,
    "figures": figures,
    "requirements": requirements,
    "entries": entries,
}
