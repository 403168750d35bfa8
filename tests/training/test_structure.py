from __future__ import annotations

import pytest

from zoo.errors import PluginFault, SpecError, UnknownName
from zoo.structure import structure

pytestmark = pytest.mark.usefixtures("tiny")


def test_a_backbone_is_listed_with_shapes_and_parameters() -> None:
    rows = {row.name: row for row in structure("tiny/net")}
    assert [*rows] == ["", "conv", "norm", "drop"]
    assert (rows[""].module, rows[""].shape, rows[""].params) == ("Net", (1, 8), 624)
    assert (rows["conv"].shape, rows["conv"].params) == ((1, 8, 7, 7), 608)
    assert (rows["norm"].module, rows["norm"].params) == ("BatchNorm2d", 16)


def test_a_size_is_taken_up() -> None:
    rows = {row.name: row for row in structure("tiny/net", {"image_size": 64})}
    assert rows["conv"].shape == (1, 8, 15, 15)


def test_a_spec_is_listed_with_its_head() -> None:
    rows = {row.name: row for row in structure("tiny/net+contrastive+cekl")}
    assert rows["backbone"].shape == (1, 8)
    assert rows["backbone.conv"].params == 608
    assert rows["head.projection"].shape == (1, 2, 128)
    assert rows["head"].shape == ()  # a HeadOutput is no tensor


def test_what_cannot_be_named_or_built_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName):
        structure("tiny/nat")
    with pytest.raises(SpecError):
        structure("tiny/net+linear")

    def failing(*_: object) -> None:
        raise IndexError("no such pixel")

    monkeypatch.setattr("tiny_parts.Net.forward", failing)
    with pytest.raises(PluginFault, match=r"tiny/net \(zoo-tiny 1\.0\) fails on its input: Index"):
        structure("tiny/net")
