"""The error tree: as drawn, with the exit codes that scripts rely on."""

from __future__ import annotations

import pickle
import re

import pytest

from zoo import errors
from zoo.errors import ZooError


def tree(of: type[ZooError] = ZooError) -> dict[str, tuple[str, int]]:
    """Name → (parent's name, exit code) of every class below `of`."""
    found: dict[str, tuple[str, int]] = {}
    for child in of.__subclasses__():
        if child.__module__ == errors.__name__:
            found |= {child.__name__: (of.__name__, child.exit_code)} | tree(child)
    return found


def drawn() -> dict[str, tuple[str, int]]:
    """The same, read from the drawing in the module's docstring."""
    found: dict[str, tuple[str, int]] = {}
    path = ["ZooError"]
    line = re.compile(r"(?P<indent>[│ ]*)[├└]── (?P<name>\w+) +(?P<code>\d+)  ")
    for match in line.finditer(errors.__doc__ or ""):
        depth = (len(match["indent"]) - 4) // 4 + 1
        path[depth:] = [match["name"]]
        found[match["name"]] = (path[depth - 1], int(match["code"]))
    return found


CLASSES = [ZooError, *(getattr(errors, name) for name in tree())]


def test_the_tree_is_as_drawn() -> None:
    assert drawn() == tree()


def test_no_known_failure_leaves_with_success_or_as_a_bug() -> None:
    assert not {code for _, code in tree().values()} & {0, errors.BUG}


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_keeps_message_and_hint_apart_and_shows_both(kind: type[ZooError]) -> None:
    error = kind("No such thing.", hint="Try: zoo list")
    assert (error.message, error.hint) == ("No such thing.", "Try: zoo list")
    assert str(error) == "No such thing.\nTry: zoo list"
    assert str(kind("No such thing.")) == "No such thing."


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_survives_the_way_from_a_child_process(kind: type[ZooError]) -> None:
    error = kind("No such thing.", hint="Try: zoo list")
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - made on the line itself
    assert type(back) is kind
    assert (back.message, back.hint) == (error.message, error.hint)


def test_an_unknown_name_brings_its_near_names_as_data() -> None:
    error = errors.UnknownName("No resnet19.", suggestions=("torchvision/resnet18",))
    assert error.suggestions == ("torchvision/resnet18",)
    assert errors.UnknownName("No resnet19.").suggestions == ()
