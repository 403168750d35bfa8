"""A backbone that its options decide: what it may fill in, and whose fault an error is."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

import zoo
from zoo import installed
from zoo.errors import Mismatch, PluginFault, UsageError
from zoo.index import Catalog, Listed
from zoo.specify import specified

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PARTS = zoo.Component(
    name="auto",
    target="acme_hot:build",
    options={"model": zoo.Option(type="str"), "config": zoo.Option(type="str")},
    provides=("features",),
    specify="acme_hub:specify",
)
TITLE = "acme/auto (zoo-acme 1.0)"
NONE = {"model": None, "config": None}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., object]], None]:
    def install(specify: Callable[..., object]) -> None:
        module = ModuleType("acme_hub")
        module.__dict__["specify"] = specify
        monkeypatch.setitem(sys.modules, "acme_hub", module)

    return install


def look_up(component: zoo.Component, options: Mapping[str, str | None]) -> zoo.Component:
    """A hub with one model, of which only a name tells the width."""
    if options["model"] is None:
        message = "name a model"
        raise ValueError(message)
    config = options["config"] or f"width of {options['model']}"
    found = replace(component.options["config"], default=config)
    weights = zoo.Weights(tag="hub", default=True, source=f"file:/models/{options['model']}")
    return replace(component, options={**component.options, "config": found}, weights=(weights,))


def test_what_is_looked_up_becomes_the_value_of_options_that_nobody_gave(
    hub: Callable[[Callable[..., object]], None],
) -> None:
    hub(look_up)
    component, options = specified(PARTS, {**NONE, "model": "tiny"}, TITLE)
    assert options == {"model": "tiny", "config": "width of tiny"}
    assert component.weights[0].source == "file:/models/tiny"


def test_a_backbone_without_it_stays_as_it_is() -> None:
    plain = replace(PARTS, specify="")
    assert specified(plain, NONE, TITLE) == (plain, NONE)


def test_a_value_error_is_the_users_and_any_other_is_the_plugins(
    hub: Callable[[Callable[..., object]], None],
) -> None:
    hub(look_up)
    with pytest.raises(UsageError, match="name a model"):
        specified(PARTS, NONE, TITLE)

    def broken(*_: object) -> zoo.Component:
        raise KeyError

    hub(broken)
    with pytest.raises(PluginFault, match="cannot be specified: KeyError"):
        specified(PARTS, NONE, TITLE)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (replace(PARTS, target="other:build"), "changes target"),
        (replace(PARTS, options={}), "changes the names of options"),
        (replace(PARTS, weights=(zoo.Weights(tag="a b", default=True),)), "tag"),
        (replace(PARTS, weights=(zoo.Weights(tag="a", default=True, source="ftp:x"),)), "source"),
    ],
)
def test_it_may_fill_in_and_not_change(
    hub: Callable[[Callable[..., object]], None], changed: zoo.Component, words: str
) -> None:
    def specify(*_: object) -> zoo.Component:
        return changed

    hub(specify)
    with pytest.raises(PluginFault, match=words):
        specified(PARTS, {**NONE, "model": "tiny"}, TITLE)


def test_a_catalog_may_not_name_a_file_of_the_machine() -> None:
    from zoo.plugins import door

    weights = zoo.Weights(tag="a", default=True, source="file:/etc/passwd")
    assert "source" in door.complaints("backbone", [replace(PARTS, weights=(weights,))])[0]


def test_a_stored_plan_is_held_against_what_its_options_specify(
    hub: Callable[[Callable[..., object]], None],
) -> None:
    hub(look_up)
    component, options = specified(PARTS, {**NONE, "model": "tiny"}, TITLE)
    catalog = Catalog((Listed("backbone", "acme", "zoo-acme", "1.0", PARTS),))
    wanted = installed.Wanted("backbone", "acme/auto", "zoo-acme", "1.0", options)
    assert installed.find_same(catalog, wanted, component).component == PARTS
    forged = replace(component, weights=(replace(component.weights[0], source="file:/etc/passwd"),))
    with pytest.raises(Mismatch):
        installed.find_same(catalog, wanted, forged)
