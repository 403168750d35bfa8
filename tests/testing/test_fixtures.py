"""The fixtures of `zoo.testing`, as a plugin's tests use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import zoo
from zoo.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zoo.index import Catalog
    from zoo.testing import Tiny


def test_the_catalog_offers_the_plugin_and_the_fakes_and_nothing_else(
    zoo_catalog: Callable[..., Catalog],
) -> None:
    found = {one.namespace for one in zoo_catalog("zoo-heads").listed}
    assert found == {"heads", "tiny"}
    assert {one.namespace for one in zoo_catalog().listed} == {"tiny"}
    assert zoo_catalog() is zoo.catalog()
    more = {one.namespace for one in zoo_catalog(first_party=True).listed}
    assert {"heads", "losses", "timm", "tiny"} <= more


def test_a_plugin_that_is_not_installed_is_named(zoo_catalog: Callable[..., Catalog]) -> None:
    with pytest.raises(Unavailable, match="zoo-nowhere is not installed"):
        zoo_catalog("zoo-nowhere")


def test_the_fakes_train_on_the_pictures_and_learn_their_colours(
    zoo_catalog: Callable[..., Catalog], zoo_pictures: Path, zoo_tiny: Tiny, zoo_home: Path
) -> None:
    zoo_catalog()
    found = zoo.run(
        zoo_tiny.spec,
        data=zoo_pictures,
        settings={"weights": "none", "train": "probe", "epochs": 100, "lr": 0.1, "device": "cpu"},
    )
    assert found.folder.resolve().is_relative_to(zoo_home)
    assert found.summary["val"]["top1"] == 1.0


def test_the_installed_catalog_is_back_after_a_test() -> None:
    assert "tiny" not in {one.namespace for one in zoo.catalog().listed}
