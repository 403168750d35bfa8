from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from zoo import installed
from zoo.errors import Mismatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.index import Catalog

NET = installed.Wanted("backbone", "tiny/net", "zoo-tiny", "1.0", {"width": 8, "img_size": None})


def test_a_component_is_found_by_its_full_name_and_its_plugin(
    make_catalog: Callable[..., Catalog],
) -> None:
    catalog = make_catalog()
    assert installed.find(catalog, NET) is catalog.get("tiny/net", "backbone")
    assert installed.find(catalog, replace(NET, version="0.9")).version == "1.0"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"full_name": "tiny/other"}, "which is not installed"),
        ({"kind": "head"}, "which is not installed"),
        ({"plugin": "tiny"}, "which is not installed"),
        ({"options": {"width": "wide"}}, "backbone.width wants"),
        ({"options": {"depth": 3}}, "backbone.depth is not known"),
    ],
)
def test_what_is_not_there_is_named_with_the_line_that_installs_it(
    make_catalog: Callable[..., Catalog], change: dict[str, Any], words: str
) -> None:
    wanted = replace(NET, **change)
    with pytest.raises(Mismatch, match=words) as caught:
        installed.find(make_catalog(), wanted)
    assert wanted.title in caught.value.message
    assert f"{wanted.plugin}==1.0" in caught.value.hint


def test_the_same_component_may_be_told_of_in_other_words(
    make_catalog: Callable[..., Catalog],
) -> None:
    described = installed.find(make_catalog(), NET).component
    found = installed.find_same(make_catalog(summary="New words.", aliases=("n",)), NET, described)
    assert found.component.summary == "New words."


@pytest.mark.parametrize("change", [{"target": "other:net"}, {"weights": ()}, {"options": {}}])
def test_a_component_that_changed_is_another(
    make_catalog: Callable[..., Catalog], change: dict[str, Any]
) -> None:
    described = installed.find(make_catalog(), NET).component
    wanted = replace(NET, options={})
    with pytest.raises(Mismatch, match=r"of zoo-tiny 1\.0 is another than the run's \(1\.0\)"):
        installed.find_same(make_catalog(**change), wanted, described)
    with pytest.raises(Mismatch, match="is another than the run's"):
        installed.find_same(make_catalog(), replace(NET, version="0.9"), described)
