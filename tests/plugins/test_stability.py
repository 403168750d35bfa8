"""A plugin that is added never makes a spec mean another component, whatever is installed.

Sets of plugins are generated from a seed: third parties that collide with zoo's own names and with
each other, by name, alias and namespace, and impostors of zoo's own plugins. Of each set it is
asked what specs mean, before and after one more plugin is added.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from zoo.collisions import collisions, told
from zoo.components import KINDS, Component, Deprecated, Kind
from zoo.errors import UnknownName
from zoo.index import Catalog, Listed, assemble
from zoo.names import resolve
from zoo.owners import FIRST_PARTY
from zoo.plugins.distributions import Source, sources, without_rivals
from zoo.plugins.loader import Offer, Problem
from zoo.spec import Part, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.plugins.conftest import Site

SETS = 1500
#: questions to each of them
QUESTIONS = 16
OWN = [f"zoo-{namespace}" for namespace in FIRST_PARTY]
STRANGERS = (
    "acme",
    "zoo-acme",
    "bolt",
    "zoo-bolt",
    "zoo-cove",
    "dune",
    "zoo-resnet18",
    "zoo-linear",
)
IMPOSTORS = ("timm", "torchvision", "heads")
#: who claims the same namespace, and how often one comes to the other
RIVALS = {one: other for a in ("acme", "bolt") for one, other in ((a, f"zoo-{a}"), (f"zoo-{a}", a))}
RIVALRY = 0.3
DISTRIBUTIONS = (*OWN, *STRANGERS, *IMPOSTORS)
NAMESPACES = sorted({name.removeprefix("zoo-") for name in DISTRIBUTIONS})
#: in the table of owners, at home in a kind, or nobody's
NAMES = (
    *("resnet18", "vgg16", "lite0", "linear", "contrastive", "ce", "cekl"),
    *("vit_tiny", "cosine", "focal", "tinynet"),
)
Meaning = tuple[str, str, Component]


@dataclass(frozen=True)
class World:
    """Installed plugins, and what the user prefers."""

    offered: Mapping[str, tuple[tuple[Kind, Component], ...]]
    prefer: tuple[str, ...]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory, make_site: type[Site]) -> dict[str, Source]:
    """Each distribution as discovery sees it when it is the only one."""
    found = {}
    for name in DISTRIBUTIONS:
        site = make_site(tmp_path_factory.mktemp("site"))
        site.add(name, "1.0", {"point": f"{name.replace('-', '_')}_zoo"}, {})
        (found[name],) = sources(site.path)
    return found


def components(draw: random.Random) -> tuple[tuple[Kind, Component], ...]:
    """What one plugin offers: each name and alias once in a kind, as at the door."""
    made: list[tuple[Kind, Component]] = []
    for kind in KINDS:
        names = draw.sample(NAMES, draw.randrange(5))
        while names:
            name, *aliases = (
                names.pop() for _ in range(min(len(names), draw.choice((1, 1, 1, 2, 3))))
            )
            gone = Deprecated(since="1.0", use="other") if draw.random() < 0.2 else None
            part = Component(name=name, target="x:y", aliases=tuple(aliases), deprecated=gone)
            made.append((kind, part))
    return tuple(made)


def world(draw: random.Random) -> tuple[World, str]:
    """A set of plugins with one more, and which that is."""
    names = draw.sample(DISTRIBUTIONS, draw.randint(2, 8))
    rivals = [rival for one in names if (rival := RIVALS.get(one, one)) not in names]
    names += draw.sample(rivals, min(len(rivals), draw.random() < RIVALRY))
    prefer = tuple(
        f"{draw.choice(NAMESPACES)}/{draw.choice(NAMES)}" for _ in range(draw.choice((0, 0, 1, 3)))
    )
    return World({name: components(draw) for name in names}, prefer), names[-1]


def catalog(
    pool: Mapping[str, Source], offered: Mapping[str, tuple[tuple[Kind, Component], ...]]
) -> Catalog:
    """What discovery and the loader make of them."""
    offers = []
    for source in without_rivals([pool[name] for name in sorted(offered)]):
        if source.refused:
            out = Problem(source.distribution, source.version, source.refused)
            offers.append(Offer(source, problem=out))
            continue
        held = offered[source.distribution]
        of_kind: dict[Kind, tuple[Component, ...]] = {
            kind: tuple(part for one, part in held if one == kind) for kind in KINDS
        }
        offers.append(Offer(source, components=of_kind))
    return assemble(offers)


def meaning(
    found: Catalog, kind: Kind, part: Part, prefer: tuple[str, ...]
) -> Meaning | UnknownName:
    try:
        listed = resolve(found, kind, part, prefer).listed
    except UnknownName as error:
        return error
    return listed.plugin, listed.full_name, listed.component


def questions(before: Catalog, draw: random.Random) -> list[tuple[Kind, Part]]:
    """Parts of specs, as they are parsed, half of them bare: some of what is there, and others."""
    spelt = {
        kind: [
            f"{one.namespace}/{name}"
            for one in before.of(kind)
            for name in (one.component.name, *one.component.aliases)
        ]
        for kind in KINDS
    }
    asked: list[tuple[Kind, Part]] = []
    while len(asked) < QUESTIONS:
        texts = []
        for kind in KINDS:
            other = f"{draw.choice(NAMESPACES)}/{draw.choice(NAMES)}"
            text = draw.choice([*spelt[kind], other])
            texts.append(text if draw.random() < 0.5 else text.partition("/")[2])
        asked += zip(KINDS, parse("+".join(texts)).parts, strict=True)
    return asked


def check_meanings(
    before: Catalog, after: Catalog, newcomer: Source, draw: random.Random, prefer: tuple[str, ...]
) -> Counter[str]:
    """Each question means the same, or is an error that names two owners of a namespace."""
    seen: Counter[str] = Counter()
    for kind, part in questions(before, draw):
        was, now = (meaning(one, kind, part, prefer) for one in (before, after))
        if isinstance(was, tuple) and isinstance(now, tuple):
            assert was == now, (kind, part, prefer)
            seen["same"] += 1
        elif isinstance(was, tuple):
            assert isinstance(now, UnknownName)
            assert was[1].startswith(f"{newcomer.namespace}/"), (was, now, newcomer)
            assert newcomer.namespace not in FIRST_PARTY
            assert f"{was[0]} and {newcomer.distribution} both claim" in now.message or (
                f"{newcomer.distribution} and {was[0]} both claim" in now.message
            )
            seen["rivals"] += 1
        elif isinstance(now, tuple):
            assert now[0] == newcomer.distribution or "You prefer" in was.message
            seen["appeared"] += 1
    return seen


def check_collisions(after: Catalog, newcomer: Source, prefer: tuple[str, ...]) -> Counter[str]:
    """Each shared name is reported with both owners; the line to type does what it says."""
    seen: Counter[str] = Counter()
    reported = {
        (one.newcomer.kind, one.name): one
        for one in collisions(after, (newcomer.distribution,), prefer)
    }
    mine = [one for one in after.listed if one.plugin == newcomer.distribution]
    for one in mine:
        for name in (one.component.name, *one.component.aliases):
            others = [other for other in after.named(one.kind, name) if other.plugin != one.plugin]
            means = meaning(after, one.kind, Part(name), prefer)
            is_mine = isinstance(means, tuple) and means[0] == newcomer.distribution
            key = (one.kind, name)
            assert (key in reported) == bool(
                others and not is_mine and newcomer.distribution not in OWN
            )
            if key not in reported:
                continue
            text = f"{reported[key]}"
            owner = means[0] if isinstance(means, tuple) else others[0].plugin
            assert f"({one.owner})" in text
            assert f"{owner} 1.0)" in text
            line = f"zoo prefer {newcomer.namespace}/{name}"
            assert text.endswith(line)
            follows(after, one, name, (line.removeprefix("zoo prefer "), *prefer))
            seen["collisions"] += 1
    assert len([*told(after, (newcomer.distribution,), prefer)]) == min(len(reported), 4)
    return seen


def follows(after: Catalog, one: Listed, name: str, prefer: tuple[str, ...]) -> None:
    """What was preferred is meant, and every other is what its full name says."""
    now = meaning(after, one.kind, Part(name), prefer)
    assert isinstance(now, tuple)
    assert now[::2] == (one.plugin, one.component)
    for other in after.named(one.kind, name):
        full = meaning(after, one.kind, Part(name, other.namespace), prefer)
        assert isinstance(full, tuple)
        assert full[0] == other.plugin


def test_one_plugin_more_changes_no_meaning_and_its_collisions_are_told(
    pool: dict[str, Source],
) -> None:
    seen: Counter[str] = Counter()
    for seed in range(SETS):
        draw = random.Random(seed)  # noqa: S311 - no secret
        installed, newcomer = world(draw)
        after = catalog(pool, installed.offered)
        before = catalog(
            pool, {name: held for name, held in installed.offered.items() if name != newcomer}
        )
        seen += check_meanings(before, after, pool[newcomer], draw, installed.prefer)
        seen += check_collisions(after, pool[newcomer], installed.prefer)
    # Each kind of event is common enough to have been tried.
    assert seen["same"] > 2000, seen
    assert min(seen[one] for one in ("rivals", "appeared", "collisions")) > 100, seen


def test_an_impostor_takes_nothing_from_the_owner(pool: dict[str, Source]) -> None:
    for impostor in IMPOSTORS:
        found = without_rivals([pool[impostor], pool[f"zoo-{impostor}"]])
        assert [bool(one.refused) for one in found] == [True, False]
