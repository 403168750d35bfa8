from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from zoo.cli import prefer
from zoo.components import Component, Kind
from zoo.index import Catalog, Listed
from zoo.names import preferences

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Zoo


def listed(full_name: str, kind: Kind = "backbone") -> Listed:
    namespace, _, name = full_name.partition("/")
    component = Component(name=name, target="x:build", aliases=(f"{name}_old",))
    return Listed(kind, namespace, f"zoo-{namespace}", "1.0", component)


CATALOG = Catalog(
    (listed("torchvision/resnet18"), listed("timm/resnet18"), listed("losses/cekl", "loss"))
)


@pytest.fixture(autouse=True)
def empty_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(prefer, "catalog", lambda: CATALOG)


@pytest.fixture
def zoo(zoo: Zoo) -> Zoo:
    """Run `zoo prefer`."""
    return partial(zoo, "prefer")


def test_a_preference_is_kept_listed_and_taken_back(zoo: Zoo) -> None:
    assert zoo("timm/resnet18")[0] == 0
    assert preferences() == ("timm/resnet18",)
    assert zoo("--list")[1] == "timm/resnet18\n"
    assert zoo("timm/resnet18", "--remove")[0] == 0
    assert preferences() == ()
    assert "There are no preferences" in zoo()[2]


def test_a_later_preference_for_the_same_name_replaces_the_first_and_says_so(zoo: Zoo) -> None:
    zoo("losses/cekl")
    zoo("timm/resnet18")
    _, _, err = zoo("torchvision/resnet18")
    assert "resnet18 now means torchvision/resnet18 (zoo-torchvision 1.0), not timm/resnet18" in err
    assert preferences() == ("torchvision/resnet18", "losses/cekl")


def test_preferring_twice_is_preferring_once(zoo: Zoo) -> None:
    zoo("timm/resnet18")
    zoo("timm/resnet18")
    assert preferences() == ("timm/resnet18",)


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        (["resnet18"], 2, "zoo prefer torchvision/resnet18 or zoo prefer timm/resnet18"),
        (["resnt18"], 69, "Try torchvision/resnet18"),
        (["timm/resnt18"], 69, "Try timm/resnet18"),
        (["timm/resnet18.a1"], 2, "Type: zoo prefer timm/resnet18"),
        (["acme/net"], 69, "No installed plugin has the namespace"),
        (["--remove", "timm/resnet18"], 2, "There are none."),
        (["--remove"], 2, "zoo prefer --list"),
        (["timm/resnet18", "--list"], 2, "Leave out --list, or timm/resnet18."),
    ],
)
def test_what_cannot_be_preferred_changes_nothing(
    zoo: Zoo, arguments: list[str], code: int, hint: str
) -> None:
    ended, _, err = zoo(*arguments)
    assert ended == code
    assert hint in err
    assert preferences() == ()
