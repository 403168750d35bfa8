from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import pytest

from zoo.cli import why
from zoo.components import Component, Kind, Weights
from zoo.index import Catalog, Listed
from zoo.plugins.loader import Problem

if TYPE_CHECKING:
    from tests.cli.conftest import Zoo


def listed(full_name: str, kind: Kind = "backbone", tags: tuple[str, ...] = ("V1", "V2")) -> Listed:
    namespace, _, name = full_name.partition("/")
    weights = tuple(Weights(tag=tag, default=tag == tags[0]) for tag in tags)
    component = Component(name=name, target=f"{name}:build", weights=weights)
    return Listed(kind, namespace, f"zoo-{namespace}", "1.0", component)


CATALOG = Catalog(
    (
        listed("torchvision/resnet18"),
        listed("timm/resnet18"),
        listed("acme/resnet18"),
        listed("acme/both"),
        listed("acme/shared"),
        listed("beta/shared"),
        listed("heads/linear", "head", ()),
        listed("heads/both", "head", ()),
        listed("losses/cekl", "loss", ()),
    ),
    problems=(
        Problem("zoo-out", "0.3", "SystemExit: 3\x1b[2J"),
        Problem("zoo-slow", "0.1", "listing it imports torch", quarantined=False),
    ),
)


@pytest.fixture(autouse=True)
def fake_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(why, "catalog", lambda: CATALOG)


@pytest.fixture
def zoo(zoo: Zoo) -> Zoo:
    """Run `zoo why`."""
    return partial(zoo, "why")


def test_the_component_the_rule_and_the_losers_are_told(zoo: Zoo) -> None:
    code, out, _ = zoo("resnet18")
    assert code == 0
    assert out.splitlines() == [
        "resnet18 is the backbone torchvision/resnet18 of zoo-torchvision 1.0",
        "  because  torchvision owns the name, always",
        "  weights  V1 (the default)",
        "  target   resnet18:build",
        "  not      timm/resnet18 of zoo-timm 1.0: torchvision owns the name, always",
        (
            "  not      acme/resnet18 of zoo-acme 1.0: "
            "a third party's component is written with its namespace"
        ),
        "  change   zoo prefer timm/resnet18 or zoo prefer acme/resnet18",
    ]


def test_quarantined_plugins_cost_one_safe_line_and_slow_ones_none(zoo: Zoo) -> None:
    _, _, err = zoo("resnet18")
    assert err == (
        "zoo-out 0.3 is quarantined: SystemExit: 3\\x1b[2J "
        "(to remove it: uv pip uninstall zoo-out; zoo plugins shows more)\n"
    )


def test_every_part_of_a_spec_is_explained(zoo: Zoo) -> None:
    code, out, _ = zoo("timm/resnet18.V2+linear+cekl")
    assert code == 0
    told = [line for line in out.splitlines() if not line.startswith(" ")]
    assert [line.split()[4] for line in told] == ["timm/resnet18", "heads/linear", "losses/cekl"]
    assert "  weights  V2\n" in out


def test_a_spec_with_a_wrong_part_explains_the_others_and_fails(zoo: Zoo) -> None:
    code, out, err = zoo("resnet18+cekl+cekl")
    assert code == 69
    assert "cekl is the loss losses/cekl" in out
    assert "cekl is not a head but a loss, the third part" in err


def test_a_name_of_two_kinds_is_answered_for_each(zoo: Zoo) -> None:
    code, out, _ = zoo("both")
    assert code == 0
    assert "both is the head heads/both" in out
    assert "both is acme/both (zoo-acme 1.0): a third party's component" in out


@pytest.mark.parametrize(
    ("name", "reason", "hint"),
    [
        ("resnt18", "There is no component 'resnt18'", "Try torchvision/resnet18."),
        ("timm/resnt18", "zoo-timm 1.0 has no backbone", "Try timm/resnet18."),
        ("out/net", "zoo-out 0.3 is quarantined", "uv pip install --upgrade zoo-out"),
        ("vgg16", "zoo-torchvision 1.0 has no backbone 'vgg16'", "zoo list"),
    ],
)
def test_an_unknown_name_exits_69_with_near_names(
    zoo: Zoo, name: str, reason: str, hint: str
) -> None:
    code, out, err = zoo(name)
    assert code == 69
    assert out == ""
    assert reason in err
    assert hint in err


def test_an_entry_is_explained_through_its_spec(zoo: Zoo) -> None:
    code, _, err = zoo("demo")
    assert code == 69  # the entry is there; the plugin of its backbone is not in this catalog
    assert "demo is an entry: efficientnet-lite/lite0+linear+cekl" in err
    assert "uv pip install zoo-efficientnet-lite" in err


def test_a_name_that_several_have_and_nobody_owns_is_told_with_rule_and_holders(zoo: Zoo) -> None:
    code, out, err = zoo("shared")
    assert code == 69
    lost = "a third party's component is written with its namespace"
    assert out.splitlines() == [
        "shared is no backbone",
        f"  because  shared is acme/shared (zoo-acme 1.0) and beta/shared (zoo-beta 1.0): {lost}.",
        (
            "  rule     timm owns every bare name of a backbone that no table gives to another, "
            "and has none"
        ),
        f"  not      acme/shared of zoo-acme 1.0: {lost}",
        f"  not      beta/shared of zoo-beta 1.0: {lost}",
        "  change   zoo prefer acme/shared or zoo prefer beta/shared",
    ]
    assert "Type acme/shared" in err
    code, out, _ = zoo("shared", "--json")
    assert code == 69
    (record,) = json.loads(out)
    assert record["rule"].startswith("timm owns every bare name of a backbone")
    assert [one["name"] for one in record["losers"]] == ["acme/shared", "beta/shared"]


def test_a_name_whose_owner_is_away_is_told_with_who_else_has_it(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = tuple(one for one in CATALOG.listed if one.namespace != "torchvision")
    monkeypatch.setattr(why, "catalog", lambda: Catalog(rest))
    code, out, err = zoo("resnet18")
    assert code == 69
    assert "  rule     torchvision owns the name, always, and has none\n" in out
    assert "  not      timm/resnet18 of zoo-timm 1.0: torchvision owns the name, always\n" in out
    assert "zoo-torchvision" in err


def test_json_holds_the_same(zoo: Zoo) -> None:
    code, out, _ = zoo("both", "--json")
    assert code == 0
    miss, hit = json.loads(out)
    assert miss["suggestions"] == ["acme/both"]
    assert hit == {
        "asked": "both",
        "kind": "head",
        "name": "heads/both",
        "plugin": "zoo-heads",
        "version": "1.0",
        "rule": "heads owns every bare name of a head that no table gives to another",
        "tag": "",
        "target": "both:build",
        "losers": [],
    }


def test_a_name_that_is_no_name_is_a_usage_error(zoo: Zoo) -> None:
    assert zoo("ResNet 18")[0] == 2
