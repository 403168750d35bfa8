"""Entries that a plugin ships: found, shown and run under its name; their faults are its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from zoo import index

from . import sites
from .sites import PARTS, TINY

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.conftest import Site

    from .conftest import Zoo

alone = pytest.fixture(sites.alone)
zoo = pytest.fixture(sites.zoo)

HOOKS = f"""{TINY}

@zoo.hookimpl
def zoo_entries():
    yield "zoo_tiny:recipes.toml"
"""
RECIPES = """schema = 1

[entries.recipe]
spec = "tiny/net+linear+ce"
summary = "What tiny is good for."
weights = "none"
train = "probe"
epochs = 2
device = "cpu"

[entries.offline]
extends = "recipe"
head.dropout = 0.25
"""
SHORT = ("--data", "images", "--out", "out")


@pytest.fixture
def ships(alone: Callable[..., Site]) -> Callable[..., Site]:
    """Install zoo-tiny 1.0 with these entries."""

    def install(recipes: str = RECIPES, hooks: str = HOOKS) -> Site:
        site = alone()
        parts = (PARTS / "tiny_parts.py").read_text()
        files = {"zoo_tiny/__init__.py": hooks, "tiny_parts.py": parts}
        site.add(
            "zoo-tiny", "1.0", {"tiny": "zoo_tiny"}, {**files, "zoo_tiny/recipes.toml": recipes}
        )
        index.catalog.cache_clear()
        return site

    return install


def test_a_plugins_entry_is_listed_shown_and_explained_with_its_owner(
    zoo: Zoo, ships: Callable[..., Site]
) -> None:
    ships()
    rows = json.loads(zoo("list", "tiny/", "--kind", "entry", "--json").out)
    assert [(one["namespace"], one["name"], one["plugin"], one["version"]) for one in rows] == [
        ("tiny", "offline", "zoo-tiny", "1.0"),
        ("tiny", "recipe", "zoo-tiny", "1.0"),
    ]
    assert zoo("list", "--namespace", "tiny", "--kind", "entry").out.count("(zoo-tiny 1.0)") == 2
    shown = zoo("show", "tiny/recipe").out
    assert "entry tiny/recipe (zoo-tiny 1.0, zoo_tiny:recipes.toml:4)" in shown
    why = zoo("why", "tiny/recipe")
    assert "tiny/recipe is an entry of zoo-tiny 1.0, written in zoo_tiny:recipes.toml:4" in why.err
    assert "tiny/net is the backbone tiny/net of zoo-tiny 1.0" in why.out
    assert json.loads(zoo("show", "tiny/recipe", "--json").out)["plugin"] == "zoo-tiny"


def test_a_plugins_entry_is_run_by_its_name(zoo: Zoo, ships: Callable[..., Site]) -> None:
    ships()
    ended = zoo("run", "tiny/offline", *SHORT, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["entry"] == "tiny/offline"
    plan = json.loads(Path("out/plan.json").read_text())
    assert plan["head"]["options"]["dropout"] == 0.25
    assert plan["option_origins"] == {"head.dropout": "zoo_tiny:recipes.toml:13"}
    again = zoo("run", "tiny/offline", "--data", "images", "--json")
    assert json.loads(again.out)["folder"] == "runs/tiny-offline-1"


def test_the_built_in_entry_of_the_same_bare_name_stays_what_it_is(
    zoo: Zoo, ships: Callable[..., Site]
) -> None:
    before = json.loads(zoo("show", "offline", "--kind", "entry", "--json").out)
    ships()
    assert json.loads(zoo("show", "offline", "--kind", "entry", "--json").out) == before


@pytest.mark.parametrize(
    ("recipes", "words"),
    [
        ("schema = 1\n[defaults]\nseed = 1\n", "a plugin cannot set defaults"),
        (RECIPES + "[entries.demo]\nlr = 1\n", "entry tiny/demo has neither spec nor extends"),
        (RECIPES + '[entries."zoo/x"]\nspec = "a+b+c"\n', "an entry's name is"),
        ("schema = 1\n[", "recipes.toml:2"),
    ],
)
def test_a_faulty_file_is_left_out_and_told_wherever_it_matters(
    zoo: Zoo, ships: Callable[..., Site], recipes: str, words: str
) -> None:
    ships(recipes)
    listed = zoo("list", "--kind", "entry")
    assert listed.code == 0
    assert words in listed.err
    assert "offline" in listed.out
    assert "tiny/" not in listed.out
    told = zoo("plugins")
    assert told.code == 0
    assert "zoo-tiny 1.0: entries that it ships are left out" in told.out
    assert words in told.out
    for command in (
        ["run", "tiny/recipe", *SHORT],
        ["show", "tiny/recipe"],
        ["why", "tiny/recipe"],
    ):
        ended = zoo(*command)
        assert ended.code == 69
        assert words in ended.err
    assert zoo("run", "tiny/net+linear+ce", *sites.ARGUMENTS).code == 0


@pytest.mark.parametrize(
    "resource",
    ["zoo_tiny:../recipes.toml", "zoo_tiny:/etc/passwd", "recipes.toml", "a:b:c", "a:.b"],
)
def test_a_resource_that_leads_out_of_its_package_quarantines_the_plugin(
    zoo: Zoo, ships: Callable[..., Site], resource: str
) -> None:
    ships(hooks=HOOKS.replace("zoo_tiny:recipes.toml", resource))
    told = json.loads(zoo("plugins", "--json").out)
    (tiny,) = (one for one in told if one["distribution"] == "zoo-tiny")
    assert tiny["status"] == "quarantined"
    assert f"zoo_entries gave {resource!r}" in tiny["problem"]["reason"]
