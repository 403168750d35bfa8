"""One mutant at least for each line of the contract, made of first-party components."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from zoo.testing import examine
from zoo.testing.planned import COLD, HOT, OBSERVING

if TYPE_CHECKING:
    from zoo.testing import Report

MUTANTS = Path(__file__).parent / "mutants"
HOT_HEAD = """
import zoo_heads.linear
def build(context, *, dropout=0.0):
    return zoo_heads.linear.build(context, dropout=dropout)
"""
#: the description of the head `linear`, as another plugin's
COLD_HEAD = """
import zoo
def head(**more):
    options = {"dropout": zoo.Option(type="float", default=0.0, minimum=0.0, maximum=0.9)}
    return zoo.Component(**{
        "name": "linear", "target": "zoo_mutant_hot:build", "options": options,
        "needs": ("features",), "provides": ("logits", "view_logits"), **more})
"""
LISTED = "@zoo.hookimpl\ndef zoo_heads():\n    yield head()\n"
BACKBONE = (
    "@zoo.hookimpl\ndef zoo_backbones():\n    yield zoo.Component(name='net', provides=('features',),"
    " target='zoo.testing.hot.tiny:net', options={{'width': zoo.Option(type='int', default=8,"
    " minimum=1, maximum=64)}}, weights=(zoo.Weights(tag='none', default=True, {weights}),),"
    " facts=zoo.Facts(input_size=(32, 32)))\n"
)
SIZE = "preprocess=zoo.Preprocess(size=(32, 32), resize=(36, 36){more})"
OBSERVER = LISTED + "@zoo.hookimpl\ndef zoo_run_end(event):\n    {body}\n"
RECIPE = 'schema = 1\n[entries.mine]\nspec = "{spec}"\n{more}\n'
ENTRIES = LISTED + "@zoo.hookimpl\ndef zoo_entries():\n    yield 'zoo_mutant:recipes.toml'\n"

#: check → variants of the cold module (or of the recipe) that it must catch
COLD_MUTANTS = {
    "listing": [
        LISTED.replace("zoo_heads", "zoo_headz"),
        LISTED.replace("head()", "head(needs=['features'])"),
        LISTED.replace("head()", "head(), 1 / 0"),
    ],
    "light": ["import torch\n" + LISTED, "import zoo_heads.linear\n" + LISTED],
    "quiet": [
        "import os\nos.environ['ZOO_MUTANT'] = '1'\n" + LISTED,
        "import random\nrandom.seed(1)\n" + LISTED,
        "import os\nos.chdir('/')\n" + LISTED,
        "open('left-behind', 'w').close()\n" + LISTED,
    ],
    "deterministic": [
        LISTED.replace("head()", "head(summary=str({'a', 'b', 'c', 'd', 'e', 'f'}))"),
        "many = []\n" + LISTED.replace("yield head()", "many.append(1)\n    yield head(views=len(many))"),
        "import time\n" + LISTED.replace("head()", "head(summary=str(time.time_ns()))"),
    ],
    "round-trip": [
        "def local():\n    class Mine(zoo.Component):\n        pass\n    return Mine\n"
        + LISTED.replace("head()", "local()(**{f: getattr(head(), f) for f in head().__slots__})")
    ],
    "words": [
        LISTED.replace("head()", "head(summary='two\\nlines')"),
        LISTED.replace("head()", "head(deprecated=zoo.Deprecated(since='0.1', use='nowhere'))"),
        LISTED.replace("head()", "head(deprecated=zoo.Deprecated(since='soon'))"),
    ],
    "figures": [
        BACKBONE.format(weights=SIZE.format(more="") + ", top1=0.7"),
        BACKBONE.format(weights=SIZE.format(more=", mean=(123.7, 116.3, 103.5)")),
        BACKBONE.format(weights="preprocess=zoo.Preprocess(size=(64, 64), resize=(64, 64))"),
    ],
    "requirements": [
        "import zoo.training\n" + LISTED,
        "from zoo.components import Component\n" + LISTED,
        "def later():\n    import scipy\n" + LISTED,
        LISTED.replace("head()", "head(requires=('no-such-package>=1',))"),
    ],
    "entries": [
        RECIPE.format(spec="heads/nothing", more=""),
        RECIPE.format(spec="torchvision/resnet18+linear+losses/ce", more="epoch = 3"),
        RECIPE.format(spec="torchvision/resnet18+mutant/linear+losses/ce", more="head.dropout = 2.0"),
        RECIPE.format(spec="torchvision/resnet18+mutant/nowhere+losses/ce", more=""),
    ],
    OBSERVING: [
        OBSERVER.format(body="event.summary['status']"),
        OBSERVER.format(body="(event.summary or {}).clear()"),
        OBSERVER.format(body="(event.folder / 'plan.json').write_text('mine')"),
        OBSERVER.format(body="import os; os.chdir(event.folder)"),
        OBSERVER.format(body="import random; random.seed(0)"),
    ],
}


def plugin(folder: Path, cold: str) -> Path:
    """The head `linear` as a plugin of its own, with this cold module, or with this recipe."""
    recipe = cold if cold.startswith("schema") else ""
    package = folder / "zoo_mutant"
    package.mkdir()
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "zoo-mutant"\nversion = "1.0"\n'
        'dependencies = ["zoo-registry", "zoo-heads"]\n'
        '[project.entry-points.zoo]\nmutant = "zoo_mutant"\n'
    )
    (package / "__init__.py").write_text(COLD_HEAD + (ENTRIES if recipe else cold))
    (folder / "zoo_mutant_hot.py").write_text(HOT_HEAD)
    if recipe:
        (package / "recipes.toml").write_text(recipe)
    return folder


@pytest.fixture(scope="module")
def report() -> Report:
    return examine(MUTANTS, sample=1000)


def mutants(report: Report) -> dict[str, set[str]]:
    """Mutant → the checks that found a fault in it."""
    caught: dict[str, set[str]] = {
        check.component.partition("/")[2]: set() for check in report.planned if check.component
    }
    for result in report.failed:
        caught[result.check.component.partition("/")[2]].add(result.check.name)
    return caught


def of(mutant: str) -> str:
    """The check that a mutant is called after."""
    return mutant.partition("__")[0].replace("_", "-")


def test_every_mutant_is_caught_by_the_check_that_it_is_called_after(report: Report) -> None:
    found = mutants(report)
    missed = {name: checks for name, checks in found.items() if "__" in name and of(name) not in checks}
    assert missed == {}
    assert len([name for name in found if "__" in name]) >= 70


def test_what_nothing_was_changed_of_is_accused_of_nothing(report: Report) -> None:
    controls = {name: checks for name, checks in mutants(report).items() if "__" not in name}
    assert controls == {"head_control": set(), "loss_control": set(), "backbone_control": set()}


def test_every_line_of_the_contract_has_a_mutant(report: Report) -> None:
    lines = {*HOT, *COLD, OBSERVING}
    assert lines - {of(name) for name in mutants(report)} - {*COLD_MUTANTS} == set()


@pytest.mark.parametrize(
    ("check", "cold"),
    [
        pytest.param(check, cold, id=f"{check}-{number}")
        for check, variants in COLD_MUTANTS.items()
        for number, cold in enumerate(variants)
    ],
)
def test_a_mutant_of_the_cold_half_is_caught(check: str, cold: str, tmp_path: Path) -> None:
    found = examine(plugin(tmp_path, cold), without={"* *": "this is about the cold half"})
    assert check in {result.check.name for result in found.failed}, str(found)


def test_the_cold_half_that_mutants_are_made_of_keeps_the_contract(tmp_path: Path) -> None:
    assert examine(plugin(tmp_path, LISTED)).ok
