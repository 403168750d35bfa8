"""Data sets of which the cache budget holds a part, or nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import CrewOfNone
from zoo import corridor
from zoo.data.canvas import row_bytes
from zoo.errors import Stopped

from .ears import Ear, Halt

if TYPE_CHECKING:
    from collections.abc import Callable

Train = Any  # a fixture that trains
RECIPES: dict[str, dict[str, Any]] = {
    "probe": {},
    "kept views": {"spec": "tiny/net+contrastive+cekl"},
    "whole": {"train": "full", "epochs": 3, "batch_size": 4},
    "both": {"train": "lpft", "epochs": 2, "probe__epochs": 1},
    "balanced": {"train": "full", "epochs": 2, "balance": "sampler"},
}
#: bytes of pixels and of a canvas of the tiny backbone
PIXELS, CANVAS = 32 * 32 * 3, row_bytes(48)
BUDGETS = {"nothing": 0.0, "something": 5.0 * PIXELS + 1000, "half": 3.5 * CANVAS}


@pytest.fixture
def budget(
    tiny: object, monkeypatch: pytest.MonkeyPatch, cold: Callable[[], None]
) -> Callable[[float | None], list[str]]:
    """Call it to have an empty cache of so many bytes, and the names of what is decoded anew."""
    del tiny

    def set_to(bytes_: float | None) -> list[str]:
        cold()
        monkeypatch.setattr(CrewOfNone, "decoded", [])
        if bytes_ is None:
            monkeypatch.delenv("ZOO_CACHE_LIMIT", raising=False)
        else:
            monkeypatch.setenv("ZOO_CACHE_LIMIT", str(bytes_ / 1e9))
        return CrewOfNone.decoded

    return set_to


def result(out: str) -> tuple[list[Any], bytes, Any]:
    """What a run came to, less what it took."""
    lines = Path(out, "metrics.jsonl").read_text().splitlines()
    epochs = [json.loads(line) for line in lines]
    for epoch in epochs:
        del epoch["seconds"], epoch["images_per_second"]
    summary = json.loads(Path(out, "summary.json").read_text())
    return epochs, Path(out, "model/model.safetensors").read_bytes(), summary["val"]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_run_comes_to_the_same_bits_whatever_the_cache_holds(
    budget: Callable[[float | None], list[str]], images: Path, train: Train, recipe: dict[str, Any]
) -> None:
    budget(None)
    train(images, "whole", **recipe)
    for name, bytes_ in BUDGETS.items():
        decoded, ear = budget(bytes_), Ear()
        train(images, name, listener=ear, **recipe)
        assert result(name) == result("whole")
        assert decoded
        assert sum("do not fit into the cache budget" in note for note in ear.notes) == 1
        # A probe on kept features needs them once, whatever epochs it has.
        assert sum("are decoded when they are needed" in note for note in ear.notes) == 1


def test_each_epoch_decodes_each_picture_that_is_not_kept_once(
    budget: Callable[[float | None], list[str]], images: Path, train: Train
) -> None:
    decoded = budget(0)
    train(images, "out", train="full", epochs=3, batch_size=4)
    training = {name for name in decoded if decoded.count(name) >= 1}
    assert training
    files = json.loads(Path("out/split.json").read_text())["files"]
    split = {name: sum(one["split"] == name for one in files) for name in ("train", "val")}
    # The scale of the features looks at the training images once; each epoch at all.
    looks = split["train"] * (1 + 3) + split["val"] * 3
    assert looks <= len(decoded) <= looks + split["val"]  # and once more where the end is measured


def test_a_run_stopped_in_the_middle_goes_on_to_the_same_bits(
    budget: Callable[[float | None], list[str]], images: Path, train: Train
) -> None:
    recipe: dict[str, Any] = {"train": "full", "epochs": 3, "batch_size": 4}
    budget(None)
    train(images, "whole", **recipe)
    decoded = budget(BUDGETS["something"])
    with pytest.raises(Stopped):
        train(images, "out", listener=Halt(5), **recipe)
    before = len(decoded)
    corridor.resume("out", listener=Ear())
    assert len(decoded) > before > 0
    assert result("out") == result("whole")
