"""Everything that a user or an author of plugins may call says what it takes, gives and raises."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import TYPE_CHECKING

import pytest

import zoo
import zoo.testing
from zoo import hooks

if TYPE_CHECKING:
    from collections.abc import Iterator

#: what cannot raise but for a bug, and what is no more than a name for a few texts
NEVER_RAISES = {"zoo.fetched_commit", "zoo.to_json"}
PLAIN = {"zoo.Crop", "zoo.Interpolation", "zoo.__version__"}
#: what tensors are called in words: a docstring that speaks of one of these must give a shape
SHAPE = re.compile(r"`?\[[A-Z0-9_, ]+\]`?")
WITH_SHAPES = {
    "zoo.Batch",
    "zoo.HeadOutput",
    "zoo.hooks.zoo_backbones",
    "zoo.hooks.zoo_heads",
    "zoo.testing.Tiny",
}


def public() -> Iterator[tuple[str, object]]:
    for name in zoo.__all__:
        yield f"zoo.{name}", getattr(zoo, name)
    for name in zoo.testing.__all__:
        yield f"zoo.testing.{name}", getattr(zoo.testing, name)
    for name in vars(hooks):
        if name.startswith("zoo_"):
            yield f"zoo.hooks.{name}", getattr(hooks, name)


NAMES = {name: found for name, found in public() if name not in PLAIN}
FUNCTIONS = {name: one for name, one in NAMES.items() if inspect.isfunction(one)}
DATA = {name: one for name, one in NAMES.items() if dataclasses.is_dataclass(one)}


def sections(found: object) -> dict[str, str]:
    """Heading → text below it."""
    text = inspect.getdoc(found) or ""
    parts = re.split(r"^(Args|Returns|Yields|Raises|Attributes):$", text, flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def described(found: object) -> set[str]:
    told = sections(found)
    lines = told.get("Args", "") + told.get("Attributes", "")
    return set(re.findall(r"^ {4}\**(\w+):", lines, re.MULTILINE))


def test_there_is_something_to_walk() -> None:
    assert {"zoo.run", "zoo.testing.check_plugin", "zoo.hooks.zoo_run_end"} <= set(FUNCTIONS)
    assert {"zoo.Component", "zoo.RunEnd", "zoo.HeadOutput"} <= set(DATA)


@pytest.mark.parametrize("name", NAMES)
def test_it_says_in_a_line_what_it_is(name: str) -> None:
    first = (inspect.getdoc(NAMES[name]) or "").split("\n")[0]
    assert re.fullmatch(r".{10,99}[.:]", first), first


@pytest.mark.parametrize("name", DATA)
def test_every_field_is_described(name: str) -> None:
    fields = {field.name for field in dataclasses.fields(DATA[name])}  # type: ignore[bad-argument-type]  # they are dataclasses
    assert fields - described(DATA[name]) == set()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_is_described_and_none_that_is_not_there(name: str) -> None:
    there = set(inspect.signature(FUNCTIONS[name]).parameters)
    assert described(FUNCTIONS[name]) == there


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_it_gives_is_told(name: str) -> None:
    gives = inspect.signature(FUNCTIONS[name]).return_annotation
    told = {"Returns", "Yields"} & sections(FUNCTIONS[name]).keys()
    assert bool(told) == (gives not in (None, "None"))


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - NEVER_RAISES))
def test_its_errors_are_told(name: str) -> None:
    told = sections(FUNCTIONS[name]).get("Raises", "")
    assert re.search(r"^ {4}\w+: \w", told, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(WITH_SHAPES))
def test_tensors_have_their_shapes(name: str) -> None:
    assert SHAPE.search(inspect.getdoc(NAMES[name]) or "")
