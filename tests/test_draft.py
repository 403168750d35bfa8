from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from zoo import draft

if TYPE_CHECKING:
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
