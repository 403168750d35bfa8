"""Components as data: they compare, they travel as JSON, they answer by option."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo import components
from zoo.components import (
    ByOption,
    Component,
    Deprecated,
    Facts,
    Option,
    Preprocess,
    Weights,
    at,
    component_from_json,
    preprocess_from_json,
    to_json,
    weights_from_json,
)

names = st.from_regex(components.NAME, fullmatch=True)
texts = st.text(max_size=20)
pixels = st.integers(1, 1000)
pairs = st.tuples(pixels, pixels)
channels = st.tuples(*[st.floats(0, 1)] * 3)
values = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
counts = st.none() | st.integers(0)
ports = st.lists(st.sampled_from(components.OUTPUT_PORTS), unique=True).map(tuple)
preprocesses = st.builds(
    Preprocess,
    size=pairs,
    resize=pairs,
    crop=st.sampled_from(["center", "squash", "border"]),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
    mean=channels,
    std=channels,
)
weights = st.builds(
    Weights,
    tag=st.from_regex(components.TAG, fullmatch=True),
    default=st.booleans(),
    preprocess=preprocesses,
    source=texts,
    licence=texts,
    classes=st.integers(0),
    top1=st.none() | st.floats(0, 100),
)
options = st.builds(
    Option,
    type=st.sampled_from(["bool", "int", "float", "str"]),
    default=st.none() | values,
    choices=st.lists(values).map(tuple),
    minimum=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    help=texts,
)


def by_option(facts: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return facts | st.builds(ByOption, names, st.dictionaries(texts, facts), facts)


described = st.builds(
    Component,
    name=names,
    target=st.just("zoo_x.build:head"),
    summary=texts,
    # "by_option" is how a fact that depends on an option is written: an option may be called so
    options=st.dictionaries(names | st.just("by_option"), options, max_size=3),
    provides=ports,
    needs=by_option(ports),
    views=by_option(st.integers(1, 8)),
    batch_coupled=by_option(st.booleans()),
    weighted=st.booleans(),
    weights=st.lists(weights, max_size=3).map(tuple),
    facts=st.builds(Facts, params=counts, features=counts, input_size=st.none() | pairs),
    requires=st.lists(texts, max_size=2).map(tuple),
    aliases=st.lists(names, max_size=2).map(tuple),
    deprecated=st.none() | st.builds(Deprecated, since=texts, use=texts),
)
LINEAR = Component(name="linear", target="zoo_x.build:linear")


@settings(deadline=None, max_examples=30)  # drawing a whole component takes a while
@given(described)
def test_a_component_survives_json(component: Component) -> None:
    assert component_from_json(json.loads(json.dumps(to_json(component)))) == component


@given(preprocesses)
def test_a_preprocess_survives_json(preprocess: Preprocess) -> None:
    assert preprocess_from_json(json.loads(json.dumps(to_json(preprocess)))) == preprocess


@given(weights)
def test_weights_survive_json(entry: Weights) -> None:
    assert weights_from_json(json.loads(json.dumps(to_json(entry)))) == entry


def test_json_leaves_out_what_equals_its_default() -> None:
    assert to_json(LINEAR) == {"name": "linear", "target": "zoo_x.build:linear"}
    assert to_json(Preprocess(crop="squash")) == {"crop": "squash"}


@pytest.mark.parametrize(
    "record",
    [
        {"name": "linear"},
        {"name": "linear", "target": "a:b", "colour": "red"},
        {"name": "linear", "target": "a:b", "options": {"dropout": {"typ": "float"}}},
        {"name": "linear", "target": "a:b", "weights": [{"tag": "v1", "url": ""}]},
    ],
    ids=["a_part_is_missing", "unknown_part", "unknown_part_of_an_option", "of_weights"],
)
def test_a_record_that_is_no_component_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        component_from_json(record)


def test_components_compare_by_value_and_cannot_be_changed() -> None:
    assert Component(name="linear", target="zoo_x.build:linear") == LINEAR
    with pytest.raises(FrozenInstanceError):
        LINEAR.name = "other"  # type: ignore[read-only]  # the point of the test


def test_a_fact_is_the_same_for_all_options_or_looked_up_by_one() -> None:
    views = ByOption("target", {"view": 2}, 1)
    assert at(views, {"target": "view"}) == 2
    assert at(views, {"target": "smooth"}) == 1
    assert at(views, {}) == 1
    assert at(3, {"target": "view"}) == 3


def test_weights_are_found_by_tag_and_by_default() -> None:
    first, second = Weights(tag="v1"), Weights(tag="v2", default=True)
    backbone = Component(name="resnet18", target="zoo_x.build:resnet", weights=(first, second))
    assert backbone.default_weights() is second
    assert backbone.tagged("v1") is first
    assert backbone.tagged("v3") is None
    assert LINEAR.default_weights() is None


def test_another_input_size_keeps_the_share_that_the_crop_takes() -> None:
    recipe = Preprocess(size=(224, 224), resize=(256, 256), crop="center", interpolation="bicubic")
    larger = recipe.resized(448)
    assert (larger.size, larger.resize) == ((448, 448), (512, 512))
    assert (larger.crop, larger.interpolation) == (recipe.crop, recipe.interpolation)


@given(preprocesses, pixels)
def test_resizing_never_leaves_the_crop_larger_than_the_picture(
    recipe: Preprocess, size: int
) -> None:
    fits = recipe.resize[0] >= recipe.size[0] and recipe.resize[1] >= recipe.size[1]
    resized = recipe.resized(size)
    assert resized.size == (size, size)
    assert not fits or min(resized.resize) >= size


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_a_square_recipe_resized_to_its_own_size_is_itself(size: int, resize: int) -> None:
    recipe = Preprocess(size=(size, size), resize=(resize, resize))
    assert recipe.resized(size) == recipe
