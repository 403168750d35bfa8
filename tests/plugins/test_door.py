from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from zoo.components import ByOption, Component, Facts, Kind, Option, Preprocess, Weights
from zoo.plugins.door import complaints

BACKBONE = Component(name="net", target="acme.build:net", provides=("features",))
HEAD = Component(
    name="top", target="acme.build:top", needs=("features",), provides=("logits", "embeddings")
)
LOSS = Component(
    name="cost",
    target="acme.build:cost",
    options={"target": Option(type="str", default="hard", choices=("hard", "soft"))},
    needs=ByOption("target", {"soft": ("logits", "teacher_logits")}, ("logits",)),
    views=ByOption("target", {"soft": 2}, 1),
)
TAGGED = replace(
    BACKBONE, weights=(Weights(tag="a", default=True, source="https://x/y.pth", sha256="0" * 8),)
)


def option(**parts: Any) -> dict[str, dict[str, Option]]:  # noqa: ANN401 - faults of any type
    return {"options": {"width": Option(**parts)}}


def facts(**parts: Any) -> dict[str, Facts]:  # noqa: ANN401 - faults of any type
    return {"facts": Facts(**parts)}


def weights(**parts: Any) -> dict[str, tuple[Weights, ...]]:  # noqa: ANN401 - faults of any type
    return {"weights": (replace(TAGGED.weights[0], **parts),)}


def recipe(**parts: Any) -> dict[str, tuple[Weights, ...]]:  # noqa: ANN401 - faults of any type
    return weights(preprocess=replace(Preprocess(), **parts))


@pytest.mark.parametrize(
    ("kind", "component"),
    [
        ("backbone", BACKBONE),
        ("backbone", TAGGED),
        ("head", HEAD),
        ("head", replace(HEAD, options={"width": Option(type="float", maximum=-5)})),
        ("loss", LOSS),
    ],
    ids=["backbone", "tagged", "head", "bounded above only", "loss"],
)
def test_good_components_come_in(kind: Kind, component: Component) -> None:
    assert complaints(kind, [component]) == []


@pytest.mark.parametrize(
    ("kind", "component", "change", "complaint"),
    [
        ("backbone", BACKBONE, {"name": "Net-1"}, "is called 'Net-1'"),
        ("backbone", BACKBONE, {"name": 5}, "is ill-formed: TypeError"),
        ("backbone", BACKBONE, {"aliases": ("N",)}, "is called 'N'"),
        ("backbone", BACKBONE, {"aliases": ("net",)}, "'net' is offered twice"),
        ("backbone", BACKBONE, {"target": "acme.build"}, "is not 'module:attribute'"),
        ("backbone", BACKBONE, {"provides": ()}, "provides none of features"),
        ("backbone", BACKBONE, {"provides": ("logits",)}, "provides logits; known here"),
        ("backbone", BACKBONE, {"needs": ("features",)}, "needs features; known here: nothing"),
        ("head", HEAD, {"needs": ()}, "needs none of features"),
        ("head", HEAD, {"provides": ("embeddings",)}, "does not provide logits"),
        ("head", HEAD, {"provides": ("logits", "odds")}, "provides odds"),
        ("head", HEAD, {"views": 0}, "wants 0 views"),
        ("head", HEAD, {"views": True}, "wants True views"),
        ("head", HEAD, weights(), "which only backbones may have"),
        ("loss", LOSS, {"needs": ("teacher_logits",)}, "needs none of"),
        ("loss", LOSS, {"provides": ("logits",)}, "known here: nothing"),
        ("loss", LOSS, {"options": {}}, "by the option 'target', which it lacks"),
        ("loss", LOSS, {"views": ByOption("target", {"x": 2}, 1)}, "target=['x']"),
        (
            "loss",
            LOSS,
            {"convex": ByOption("target", {"x": True}, otherwise=False)},
            "has convex for target=['x']",
        ),
        ("loss", LOSS, {"options": {"Target": Option(type="str")}}, "has the option 'Target'"),
        ("head", HEAD, option(type="int", default="wide"), "wants a whole number"),
        ("head", HEAD, option(type="int", default="3"), "wants int, not '3'"),
        ("head", HEAD, option(type="int", default=9, maximum=8), "of at most 8"),
        ("head", HEAD, option(type="str", default="c", choices=("a", "b")), "one of a, b"),
        ("head", HEAD, option(type="int", minimum=3, maximum=2), "minimum 3 above maximum 2"),
        ("head", HEAD, option(type="colour", default=1), "is ill-formed: KeyError"),
        ("backbone", TAGGED, weights(default=False), "has 0 default weights tags"),
        ("backbone", TAGGED, weights(tag="a.b"), "tag 'a.b', which is not of the form"),
        ("backbone", TAGGED, weights(source="http://x/y"), "there is https://"),
        ("backbone", TAGGED, weights(sha256="xyz"), "hex digits"),
        ("backbone", TAGGED, {"weights": TAGGED.weights * 2}, "has a weights tag twice"),
        ("backbone", TAGGED, recipe(crop="middle"), "crops by 'middle'"),
        ("backbone", TAGGED, recipe(interpolation="cubic"), "resizes by 'cubic'"),
        ("backbone", TAGGED, recipe(std=(1.0, 0.0, 1.0)), "normalises by"),
        ("backbone", TAGGED, recipe(size=(0, 224)), "below one pixel"),
        ("backbone", BACKBONE, facts(params=-1), "states params = -1"),
        ("backbone", BACKBONE, facts(layout="graph"), "states the layout 'graph'"),
        ("backbone", BACKBONE, {"requires": ("timm>>1",)}, "which is not PEP 508"),
        ("backbone", BACKBONE, {"provides": ["features"]}, "does not survive a JSON round trip"),
        ("backbone", BACKBONE, facts(params=float("nan")), "is ill-formed: ValueError"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_each_fault_has_its_complaint(
    kind: Kind, component: Component, change: dict[str, Any], complaint: str
) -> None:
    found = complaints(kind, [replace(component, **change)])
    assert any(complaint in text for text in found), found


def test_every_complaint_names_kind_and_component() -> None:
    wrong = replace(HEAD, provides=("odds",), views=0)
    found = complaints("head", [wrong])
    assert len(found) == 3
    assert all(text.startswith("head 'top' ") for text in found)


def test_a_stranger_among_components_is_named() -> None:
    assert complaints("head", [HEAD, None]) == ["head None is not a zoo.Component"]


def test_two_components_of_one_name_are_refused() -> None:
    assert complaints("head", [HEAD, HEAD]) == ["head 'top' is offered twice"]
