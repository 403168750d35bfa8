from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import zoo
from zoo import draft

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPEC = "tiny/net+linear+cekl"
pytestmark = pytest.mark.usefixtures("tiny")


@pytest.mark.parametrize(("layout", "expected"), [("conv", True), ("token", False)])
def test_a_backbone_that_does_not_say_its_layout_is_laid_out_by_its_modules(
    images: Path, monkeypatch: pytest.MonkeyPatch, layout: str, *, expected: bool
) -> None:

    def said(_module: object) -> str:
        return layout

    monkeypatch.setattr("zoo.training.assemble.layout_of", said)
    given = {"data": str(images), "weights": "none"}
    found = draft.prepare(SPEC, given)
    assert found.device.channels_last == expected
    assert found.plan.device["channels_last"] == expected
    asked = draft.prepare(SPEC, {**given, "channels_last": "on"})
    assert asked.device.channels_last


def test_whoever_uses_a_component_that_will_go_is_told_what_to_use_instead(
    images: Path, tiny: Callable[..., object]
) -> None:
    given = {"data": str(images), "weights": "none"}
    assert not draft.prepare(SPEC, given).notes()
    tiny(deprecated=zoo.Deprecated(since="0.3", use="tiny/other"))
    assert draft.prepare(SPEC, given).notes() == [
        "tiny/net is deprecated since 0.3; use tiny/other"
    ]
    tiny(deprecated=zoo.Deprecated(since="0.3"))
    assert draft.prepare(SPEC, given).notes() == ["tiny/net is deprecated since 0.3"]
