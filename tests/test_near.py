from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.index import catalog
from zoo.near import near, squeezed

FEW = ("resnet18", "resnet50", "vit_b_16", "convnext_tiny", "convnext_base", "vit_base_patch16_224")
words = st.text("abcdevit_-16 R", max_size=12)


@pytest.fixture(scope="module")
def names() -> list[str]:
    """The backbones of the plugins that are installed."""
    return [one.component.name for one in catalog().of("backbone")]


@pytest.mark.parametrize("typed", ["vit_b16", "vit_base_16", "ViT-B16"])
def test_shortened_names_find_the_model_among_all_of_timm(names: list[str], typed: str) -> None:
    assert "vit_base_patch16_224" in near(typed, names)


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("ResNet-50", "resnet50"),
        ("resnet_18", "resnet18"),
        ("resnt18", "resnet18"),
        ("convnext_tinny", "convnext_tiny"),
        ("convnext_t", "convnext_tiny"),
        ("vit_b16", "vit_b_16"),
    ],
)
def test_the_best_match_comes_first(typed: str, first: str) -> None:
    assert near(typed, FEW)[0] == first


def test_numbers_are_not_abbreviated() -> None:
    assert near("vit_2", ("vit_22", "vit_x_2"), count=1) == ("vit_x_2",)


@pytest.mark.parametrize("typed", ["", "___", "xyzzy"])
def test_nothing_is_near_to_nothing(typed: str) -> None:
    assert near(typed, FEW) == ()


@given(st.sampled_from(FEW))
def test_a_name_is_nearest_to_itself_in_any_spelling(name: str) -> None:
    for spelling in (name, name.upper(), name.replace("_", "-"), name.replace("_", "")):
        assert near(spelling, FEW)[0] == name


@given(words, st.lists(words, max_size=8), st.integers(1, 4))
def test_only_given_names_are_suggested_each_once(typed: str, pool: list[str], count: int) -> None:
    found = near(typed, pool, count=count)
    assert len(found) == len(set(found)) <= count
    assert set(found) <= set(pool)
    assert near(typed, reversed(pool), count=count) == found


@given(words)
def test_squeezing_twice_is_squeezing_once(text: str) -> None:
    assert squeezed(squeezed(text)) == squeezed(text)
