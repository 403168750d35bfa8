from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packaging.specifiers import SpecifierSet

from zoo import __version__
from zoo.errors import Unavailable
from zoo.plugins import children
from zoo.plugins.loader import Offer, Problem, offers
from zoo.plugins.requirements import exclusive, fault, refuse_unmet, unmet

if TYPE_CHECKING:
    from tests.plugins.conftest import Site

#: leaves a mark when it is imported
MODULE = {"acme_zoo.py": 'import pathlib\npathlib.Path(__file__).with_name("mark").touch()\n'}
ENTRY = {"acme": "acme_zoo"}


def problem(offer: Offer) -> Problem:
    assert offer.problem is not None
    return offer.problem


@pytest.mark.parametrize(
    ("requires", "reason", "wants"),
    [
        (["timber>=99"], "it requires timber>=99, and timber is 1.0", "timber>=99"),
        (["no-such-thing"], "it requires no-such-thing, and no-such-thing is not installed", ""),
        (
            ["zoo-registry>=99"],
            f"it requires zoo-registry>=99, and this is zoo-registry {__version__}",
            "",
        ),
        (["timber[fast]<1 ; python_version > '3'"], "it requires timber<1, and timber is 1.0", ""),
        (
            ["timber>2", "gone~=1.0"],
            "it requires timber>2, and timber is 1.0 (and 1 more)",
            "'timber>2' 'gone~=1.0'",
        ),
    ],
)
def test_what_is_not_met_keeps_a_plugin_out_unimported(
    site: Site, monkeypatch: pytest.MonkeyPatch, requires: list[str], reason: str, wants: str
) -> None:
    site.add("timber", "1.0", {}, {})
    site.add("acme", "1.0", ENTRY, MODULE, requires=requires)
    begun: list[object] = []
    monkeypatch.setattr(children, "_Child", begun.append)
    (offer,) = offers(site.path)
    assert problem(offer).reason == reason
    assert (begun, (site.folder / "mark").exists()) == ([], False)
    assert wants in problem(offer).remedy
    assert problem(offer).remedy.startswith("to mend it: ")
    assert reason in f"{problem(offer)}"
    (again,) = offers(site.path)  # from the record
    assert again.problem == offer.problem


@pytest.mark.parametrize(
    "requires",
    [
        ["timber", "timber>=1,<2", "zoo-registry>=0.1"],
        ["no-such-thing; extra == 'test'", "no-such-thing; python_version < '3'"],
        ["this is no requirement"],
    ],
)
def test_what_is_met_or_not_meant_for_here_keeps_nobody_out(
    site: Site, requires: list[str]
) -> None:
    site.add("timber", "1.0", {}, {})
    site.add("acme", "1.0", ENTRY, MODULE, requires=requires)
    assert fault("acme") is None


def test_it_comes_in_once_what_it_requires_is_there(site: Site) -> None:
    site.add("acme", "1.0", ENTRY, MODULE, requires=["timber>=2"])
    assert "timber is not installed" in problem(offers(site.path)[0]).reason
    site.add("timber", "2.0", {}, {})
    assert "implements no hook" in problem(offers(site.path)[0]).reason
    assert (site.folder / "mark").exists()


def test_pins_that_exclude_each_other_name_the_pair(site: Site) -> None:
    site.add("timber", "1.5", {}, {})
    site.add("acme", "1.0", ENTRY, MODULE, requires=["timber<1"])
    site.add("zoo-bolt", "0.2", {"bolt": "bolt_zoo"}, {"bolt_zoo.py": ""}, requires=["timber>=1.2"])
    site.add("a-library", "1.0", {}, {}, requires=["timber>=1.3"])
    acme = problem(offers(site.path)[0])
    assert acme.reason == (
        "it requires timber<1, and timber is 1.5, which zoo-bolt 0.2 requires (timber>=1.2): "
        "no version suits both"
    )
    assert acme.remedy.endswith("uninstall acme")


def test_pins_that_another_version_would_suit_are_no_pair(site: Site) -> None:
    site.add("timber", "1.5", {}, {})
    site.add("acme", "1.0", ENTRY, MODULE, requires=["timber>=2"])
    site.add("zoo-bolt", "0.2", {"bolt": "bolt_zoo"}, {"bolt_zoo.py": ""}, requires=["timber>=1"])
    assert problem(offers(site.path)[0]).reason == "it requires timber>=2, and timber is 1.5"


@pytest.mark.parametrize(
    ("one", "other", "excluded"),
    [
        ("<1", ">=1", True),
        ("<=1", ">=1", False),
        ("<1", ">=0.9", False),
        ("<1.0.20", ">=1.0.19", False),
        ("==1.*", ">=1.5", False),
        ("==1.*", ">=2", True),
        ("==1.5", "!=1.5", True),
        ("==1.5.*", "~=1.4", False),
        ("~=1.4.2", ">=1.5", True),
        ("~=1.4", "<1.5", False),
        (">1", "<2", False),
        (">1", "<=1", True),
        ("", ">=99", False),
        ("===weird", ">=1", True),
        ("<0.1", ">0.0.1", False),
        (">=2024.1", "<1!1", False),
    ],
)
def test_two_specifiers_exclude_each_other_where_no_version_suits_both(
    one: str, other: str, *, excluded: bool
) -> None:
    first, second = SpecifierSet(one), SpecifierSet(other)
    assert exclusive(first, second) == exclusive(second, first) == excluded


def test_a_copy_behind_another_one_is_enough(site: Site) -> None:
    site.add("pluggy", "0.1", {}, {})  # it stands before the real one
    assert [*unmet(["pluggy>=1.6"])] == []


def test_a_refusal_names_all_with_one_line_to_type(site: Site) -> None:
    site.add("timber", "1.0", {}, {})
    with pytest.raises(Unavailable) as caught:
        refuse_unmet("The entry flowers", ["timber>=2", "gone"])
    assert caught.value.message == (
        "The entry flowers requires timber>=2, and timber is 1.0; "
        "it requires gone, and gone is not installed."
    )
    assert caught.value.hint == "uv pip install 'timber>=2' gone"
    assert caught.value.exit_code == 69
