"""Which checks a plugin is due, computed from what it declares, before any of them is run.

The names are the contract, line by line. `COLD` needs the listing alone, `HOT` needs torch; a
check's code is the function of its name, with `_` for `-`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.components import KINDS, Component, Kind, Option, Value
from zoo.options import spelt
from zoo.testing.report import Check

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

#: check of the whole plugin → what it holds
COLD = {
    "listing": "is found, imported and asked, and what it offers passes the door",
    "light": "listing imports nothing heavy, and takes little time",
    "quiet": "listing leaves the process, the disk and the network alone",
    "deterministic": "asked again, elsewhere, under another hash seed, it lists the same",
    "round-trip": "components survive JSON and pickling",
    "words": "names, aliases, summaries and deprecations make sense",
    "figures": "what is stated of weights and sizes can be true",
    "requirements": "what it imports is declared, installed, and zoo's public door alone",
    "entries": "its registry files are there, parse, and name what it offers",
}
#: check of a backbone that its options specify → what it holds
SPECIFY = {
    "specify-light": "what looks options up is there, and imports no torch",
    "specify": "looked up again, and with what was looked up, it is the same",
    "specify-refuses": "options that name nothing are refused in words",
}
#: check of a component → (kinds, what it holds)
HOT: dict[str, tuple[tuple[Kind, ...], str]] = {
    "global-state": (KINDS, "import, build and use leave the process as it was"),
    "no-reach": (KINDS, "import, build and use reach for no network, file or program"),
    "target": (KINDS, "the target is there and can be called"),
    "signature": (KINDS, "it takes exactly the declared options, with their defaults"),
    "unknown-option": (KINDS, "it refuses an option that it does not declare"),
    "builds": (KINDS, "it builds and works with this value of an option"),
    "option-effect": (KINDS, "the option changes something"),
    "meta": (("backbone", "head"), "it builds and works on the meta device"),
    "ports": (KINDS, "what goes in and out has the declared names, shapes and types"),
    "facts": (("backbone",), "stated width, parameters and layout are those built"),
    "needs": (("loss",), "it reads the ports that it declares and no others"),
    "context": (("head", "loss"), "it fits any number of classes, widths and views"),
    "fresh": (KINDS, "two builds share nothing"),
    "seed": (KINDS, "what is random is a function of torch's seed"),
    "state-dict": (KINDS, "a state dict holds all of its state"),
    "modes": (KINDS, "train and eval are honoured; eval changes and draws nothing"),
    "gradients": (KINDS, "gradients are finite and reach what decides the outputs"),
    "steps": (KINDS, "it can be trained step after step"),
    "graphs": (KINDS, "no graph of a step that is over is kept"),
    "batch-of-one": (KINDS, "one image alone trains and predicts"),
    "autocast": (KINDS, "bfloat16 autocast stays near float32"),
    "in-place": (KINDS, "inputs are left as they were"),
    "device": (KINDS, "tensors follow the input's device"),
    "no-wait": (KINDS, "no step waits for a number from the device"),
    "elsewhere": (KINDS, "built in another process, with its state dict, it answers the same"),
    "independence": (("backbone", "head"), "in eval, no image depends on its neighbours"),
    "image-size": (("backbone",), "images of another size give features of one width"),
    "unspoilt": (("backbone",), "without weights it starts at random"),
    "logits": (("head",), "logits are no probabilities"),
    "memory-format": (("backbone",), "channels-last images give the same features"),
    "weights-file": (("backbone",), "a weights file is loaded, whole"),
    "weights-errors": (("backbone",), "a file that does not fit is refused"),
    "published": (("backbone",), "installed weights are the stated ones and fit"),
    "targets": (("loss",), "class indices and distributions both count"),
    "weights": (("loss",), "the weight of a sample multiplies its part"),
    "samples": (("loss",), "uncoupled: the mean over samples; coupled: in any order"),
    "total": (("loss",), "each term is trained, and none is the sum of others"),
    "extremes": (("loss",), "confident and undecided logits give finite gradients"),
    "convex": (("head", "loss"), "affine or convex, as declared"),
}
#: check of a plugin that observes runs
OBSERVING = "observers"
#: check of a plugin of which not every component is checked in full
TARGETS = "other-targets"
#: checks that are carried out in a second fresh process, on what the first one left
SECOND = frozenset({"elsewhere"})
#: the heaviest backbone that is checked in full, parameters
LARGEST = 6_000_000
#: backbones of one plugin that are checked in full
SAMPLE = 6
#: names of those that are not, in the sentence that says so
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Listing:
    """What a plugin offers, as far as the plan depends on it.

    Args:
        namespace: the plugin's.
        components: by kind.
        entries: package resources.
        observers: modules inside its package that observe runs; empty for the entry module.
    """

    namespace: str
    components: Mapping[Kind, Sequence[Component]]
    entries: tuple[str, ...] = ()
    observers: tuple[str, ...] = ()


def plan(listing: Listing, sampled: Mapping[Kind, Sequence[Component]]) -> tuple[Check, ...]:
    """Every check that is due: the plugin's, and all of the sampled components'.

    Of the others it is looked whether what they name is there.
    """
    checks = [Check(name) for name in COLD if name != "entries" or listing.entries]
    checks += [Check(OBSERVING, case=module) for module in listing.observers]
    for kind in KINDS:
        for component in sampled.get(kind, ()):
            checks += _of(kind, f"{listing.namespace}/{component.name}", component)
    return (*checks, *_of_the_others(listing, sampled))


def _of_the_others(
    listing: Listing, sampled: Mapping[Kind, Sequence[Component]]
) -> Iterator[Check]:
    """That what other components name is there, and what can be known of looking them up."""
    if unchecked(listing.components, sampled):
        yield Check(TARGETS)
    lookups = set[str]()
    for one in listing.components.get("backbone", ()):
        if not one.specify:
            continue
        full_name = f"{listing.namespace}/{one.name}"
        if one.specify not in lookups:
            lookups.add(one.specify)
            yield Check("specify-light", full_name, "", "backbone")
        if one in sampled.get("backbone", ()):
            yield Check("specify", full_name, "", "backbone")
        yield Check("specify-refuses", full_name, "", "backbone")


def unchecked(
    components: Mapping[Kind, Sequence[Component]], sampled: Mapping[Kind, Sequence[Component]]
) -> list[Component]:
    """Components that are not checked in full."""
    full = {(kind, one.name) for kind, found in sampled.items() for one in found}
    return [
        one for kind, found in components.items() for one in found if (kind, one.name) not in full
    ]


def _of(kind: Kind, full_name: str, component: Component) -> Iterator[Check]:
    for name, (kinds, _) in HOT.items():
        if kind not in kinds or not _applies(name, component):
            continue
        for case in _cases(name, component):
            yield Check(name, full_name, case, kind)


def _applies(name: str, component: Component) -> bool:
    if name == "convex":
        return bool(component.convex)
    if name == "weights":
        return component.weighted
    if name == "published":
        return any(one.source.startswith("package:") for one in component.weights)
    return True


def _cases(name: str, component: Component) -> Iterable[str]:
    if name == "builds":
        return ["", *(f"{key}={spelt(value)}" for key, value in edges(component))]
    if name == "option-effect":
        return component.options
    return [""]


def edges(component: Component) -> Iterator[tuple[str, Value]]:
    """Every choice, both bools, least and greatest number of every option, one at a time."""
    for name, option in component.options.items():
        for value in values(option):
            yield name, value


def values(option: Option) -> list[Value]:
    """The values of one option that are worth trying, its default left out."""
    found: list[Value] = [*option.choices]
    if option.type == "bool" and not found:
        found = [False, True]
    number = {"int": int, "float": float}.get(option.type)
    if number and not option.choices:
        found = [number(end) for end in (option.minimum, option.maximum) if end is not None]
    return [value for value in dict.fromkeys(found) if value != option.default]


def sample(
    components: Mapping[Kind, Sequence[Component]],
    count: int,
    largest: int,
    given: Mapping[str, object],
) -> tuple[dict[Kind, Sequence[Component]], str]:
    """Which components are checked in full, and a sentence where that is not all of them.

    Heads and losses are, and so are backbones, if there are no more than `count`. Of many, those of
    at most `largest` parameters are taken in turn from each group of one layout and one set of
    options, in the order of a hash of their names. One that its options specify is taken if they
    are given, and only then.
    """
    offered = components.get("backbone", ())
    waiting = [one for one in offered if one.specify and one.name not in given]
    chosen = [one for one in offered if one not in waiting]
    limit = ""
    if len(chosen) > count:
        chosen = _of_each_group(chosen, largest)[:count]
        limit = f", of at most {largest:,} parameters"
    told = [f"in full: {len(chosen)} of {len(offered)} backbones{limit}; the others by description"]
    if waiting:
        told.append(f"{_few(waiting)} if given what specifies it: --given {_spelling(waiting[0])}")
    return {**components, "backbone": chosen}, (
        "; ".join(told) if len(chosen) < len(offered) else ""
    )


def _of_each_group(backbones: Sequence[Component], largest: int) -> list[Component]:
    groups: dict[object, list[Component]] = defaultdict(list)
    for one in sorted(backbones, key=lambda one: hashlib.sha256(one.name.encode()).digest()):
        if (one.facts.params or 0) <= largest:
            groups[one.facts.layout, tuple(one.options)].append(one)
    ordered = [group for _, group in sorted(groups.items(), key=str)]
    rounds = max(map(len, ordered), default=0)
    return [group[turn] for turn in range(rounds) for group in ordered if turn < len(group)]


def _few(components: Sequence[Component]) -> str:
    """The first names, and how many there are more."""
    shown = ", ".join(one.name for one in components[:_SHOWN])
    more = len(components) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _spelling(component: Component) -> str:
    """How an option of it is given; the first, for want of knowing which specifies it."""
    return f"{component.name}:{next(iter(component.options), 'OPTION')}=VALUE"
