"""The door: what a component must satisfy before the catalog takes it in.

Each check yields complaints, one sentence each, so that a plugin's author sees all of them at once.
Nothing here imports a component's target.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_args

from packaging.requirements import InvalidRequirement, Requirement

from zoo.components import (
    EXTRA_PORTS,
    FEATURE_PORTS,
    NAME,
    OUTPUT_PORTS,
    TAG,
    TARGET,
    ByOption,
    Component,
    Crop,
    Interpolation,
    Kind,
    Option,
    Preprocess,
    Weights,
    component_from_json,
    to_json,
)
from zoo.options import Illtyped, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: kind → (ports that it may need, ports that it may provide)
PORTS: dict[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "backbone": ((), FEATURE_PORTS),
    "head": (FEATURE_PORTS, OUTPUT_PORTS),
    "loss": ((*OUTPUT_PORTS, *EXTRA_PORTS), ()),
}
#: a registry file inside of a package: no way leads out of it
RESOURCE = re.compile(r"[A-Za-z_]\w*(\.\w+)*:(?!\.)[\w.-]+(/(?!\.)[\w.-]+)*")
_SOURCE = re.compile(r"https://\S+|hf-hub:\S+|package:[\w.]+/\S+|")
_SHA256 = re.compile(r"[0-9a-f]{8,64}|")


def complaints(kind: Kind, components: Iterable[object]) -> list[str]:
    """What is wrong with the components that one plugin offers as one kind; empty when nothing is.

    Each complaint starts with the component's kind and name.
    """
    found: list[str] = []
    names: list[str] = []
    for offered in components:
        if not isinstance(offered, Component):
            found.append(f"{kind} {offered!r:.60} is not a zoo.Component")
            continue
        try:
            found += [f"{kind} {offered.name!r} {wrong}" for wrong in _component(kind, offered)]
        except Exception as error:  # noqa: BLE001 - a field of another type may raise anything
            found.append(f"{kind} {offered.name!r} is ill-formed: {type(error).__name__}: {error}")
        names += [offered.name, *offered.aliases]
    twice = [name for name, count in Counter(names).items() if count > 1]
    return found + [f"{kind} {name!r} is offered twice" for name in twice]


def _component(kind: Kind, component: Component) -> Iterator[str]:
    for name in (component.name, *component.aliases):
        if not NAME.fullmatch(name):
            yield f"is called {name!r}, which is not of the form {NAME.pattern}"
    if not TARGET.fullmatch(component.target):
        yield f"has the target {component.target!r}, which is not 'module:attribute'"
    yield from _round_trip(component)
    yield from _ports(kind, component)
    yield from _options(component)
    yield from _by_option(component)
    yield from _all_weights(kind, component)
    yield from _facts(component)
    if component.specify and (kind != "backbone" or not TARGET.fullmatch(component.specify)):
        yield f"has specify {component.specify!r}, which is not 'module:attribute' of a backbone"
    yield from _requires(component)


def _round_trip(component: Component) -> Iterator[str]:
    back = component_from_json(json.loads(json.dumps(to_json(component), allow_nan=False)))
    lost = [
        part.name
        for part in fields(component)
        if getattr(component, part.name) != getattr(back, part.name)
    ]
    if lost:
        yield f"does not survive a JSON round trip in {', '.join(lost)} (tuples, not lists?)"


def _ports(kind: Kind, component: Component) -> Iterator[str]:
    may_need, may_provide = PORTS[kind]
    for needs in _values(component.needs):
        yield from _strangers("needs", needs, may_need)
        if may_need and not set(needs) & {*FEATURE_PORTS, *OUTPUT_PORTS}:
            yield f"needs none of {', '.join(may_need)}"
    yield from _strangers("provides", component.provides, may_provide)
    if kind == "head" and "logits" not in component.provides:
        yield "does not provide logits, which is what prediction uses"
    if kind == "backbone" and not component.provides:
        yield f"provides none of {', '.join(FEATURE_PORTS)}"


def _strangers(verb: str, ports: Iterable[str], known: tuple[str, ...]) -> Iterator[str]:
    unknown = [port for port in ports if port not in known]
    if unknown:
        yield f"{verb} {', '.join(unknown)}; known here: {', '.join(known) or 'nothing'}"


def _options(component: Component) -> Iterator[str]:
    for name, option in component.options.items():
        if not NAME.fullmatch(name):
            yield f"has the option {name!r}, which is not of the form {NAME.pattern}"
        for value in (option.default, *option.choices):
            complaint = _value(option, value)
            if complaint:
                yield f"has the option {name!r}, which {complaint}"
        low, high = option.minimum, option.maximum
        if low is not None and high is not None and low > high:
            yield f"has the option {name!r} with minimum {low} above maximum {high}"


def _value(option: Option, value: object) -> str:
    """What is wrong with a default or a choice; None stands for "the engine decides"."""
    if value is None:
        return ""
    try:
        same = type(read(option, value)) is type(value)
    except Illtyped as problem:
        return problem.reason
    return "" if same or option.type == "float" else f"wants {option.type}, not {value!r}"


def _by_option(component: Component) -> Iterator[str]:
    for name in ("needs", "views", "batch_coupled", "convex"):
        fact = getattr(component, name)
        if not isinstance(fact, ByOption):
            continue
        option = component.options.get(fact.option)
        if option is None:
            yield f"has {name} by the option {fact.option!r}, which it lacks"
            continue
        strangers = [key for key in fact.table if not _spells(option, key)]
        if strangers:
            yield f"has {name} for {fact.option}={sorted(strangers)}, which it never is"
    for views in _values(component.views):
        if isinstance(views, bool) or not isinstance(views, int) or views < 1:
            yield f"wants {views!r} views"


def _spells(option: Option, key: str) -> bool:
    """Whether a fact's key is how Python writes a value that the option may have."""
    try:
        return str(read(option, key)) == key
    except Illtyped:
        return False


def _values(fact: object) -> tuple[Any, ...]:
    """Every value that a fact, fixed or by option, may take."""
    return (*fact.table.values(), fact.otherwise) if isinstance(fact, ByOption) else (fact,)


def _all_weights(kind: Kind, component: Component) -> Iterator[str]:
    weights = component.weights
    if weights and kind != "backbone":
        yield "has pretrained weights, which only backbones may have"
    defaults = sum(one.default for one in weights)
    if weights and defaults != 1:
        yield f"has {defaults} default weights tags, not one"
    tags = [one.tag for one in weights]
    if len(set(tags)) < len(tags):
        yield "has a weights tag twice"
    for one in weights:
        yield from (f"has the weights tag {one.tag!r}, which {wrong}" for wrong in _weights(one))


def _weights(weights: Weights) -> Iterator[str]:
    if not TAG.fullmatch(weights.tag):
        yield f"is not of the form {TAG.pattern}"
    if not _SOURCE.fullmatch(weights.source):
        yield f"has the source {weights.source!r}; there is https://, hf-hub: and package:"
    if not _SHA256.fullmatch(weights.sha256):
        yield f"has the sha256 {weights.sha256!r}, not 8 to 64 lower-case hex digits"
    yield from preprocess_complaints(weights.preprocess)


def preprocess_complaints(recipe: Preprocess) -> Iterator[str]:
    """What no picture can be put through."""
    lengths = [len(part) for part in (recipe.size, recipe.resize, recipe.mean, recipe.std)]
    if lengths != [2, 2, 3, 3]:
        yield f"has {lengths} numbers for size, resize, mean and std, not 2, 2, 3, 3"
        return
    if min(*recipe.size, *recipe.resize) < 1:
        yield f"has sizes below one pixel: {recipe.size}, {recipe.resize}"
    if recipe.crop not in get_args(Crop):
        yield f"crops by {recipe.crop!r}; known: {', '.join(get_args(Crop))}"
    if recipe.interpolation not in get_args(Interpolation):
        yield f"resizes by {recipe.interpolation!r}; known: {', '.join(get_args(Interpolation))}"
    if min(recipe.std) <= 0:
        yield f"normalises by mean {recipe.mean} and std {recipe.std}"


def _facts(component: Component) -> Iterator[str]:
    facts = component.facts
    for name in ("params", "features"):
        value = getattr(facts, name)
        if value is not None and (not isinstance(value, int) or value < 0):
            yield f"states {name} = {value!r}"
    if facts.layout not in {"conv", "token", ""}:
        yield f"states the layout {facts.layout!r}; known: conv, token"


def _requires(component: Component) -> Iterator[str]:
    for requirement in component.requires:
        try:
            Requirement(requirement)
        except InvalidRequirement:
            yield f"requires {requirement!r}, which is not PEP 508"
