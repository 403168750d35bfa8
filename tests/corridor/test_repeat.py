"""A run done again: the same figures, or what is different told before anything is trained."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from zoo import provenance
from zoo.errors import InputMissing, Mismatch
from zoo.progress import Silent
from zoo.replay import repeat

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Train = Any  # a fixture that trains
pytestmark = pytest.mark.usefixtures("tiny")


def again(path: Path, out: Path, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - as it takes them
    return dict(repeat(path, out=out, listener=Silent(), **more).summary)


def judged(summary: dict[str, Any]) -> dict[str, Any]:
    return {split: summary[split] for split in ("val", "test")}


def weights(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("mode", ["probe", "lpft"])
def test_without_drift_the_model_is_the_same_bit_for_bit(
    train: Train, images: Path, tmp_path: Path, mode: str
) -> None:
    first = train(images, tmp_path / "one", train=mode, epochs=2, seed=3)
    second = again(tmp_path / "one", tmp_path / "two")
    assert judged(second) == judged(dict(first.summary))
    assert weights(tmp_path / "two") == weights(tmp_path / "one")
    assert second["repeats"] == {"run": str(tmp_path / "one"), "drift": []}
    plan = json.loads((tmp_path / "two" / "plan.json").read_text())
    assert plan["repeats"]["drift"] == []
    before = json.loads((tmp_path / "one" / "plan.json").read_text())
    for part in ("spec", "settings", "phases", "plugins", "backbone", "head", "loss"):
        assert plan[part] == before[part]


def test_the_images_may_lie_elsewhere(train: Train, images: Path, tmp_path: Path) -> None:
    first = train(images, tmp_path / "one")
    moved = images.rename(tmp_path / "moved")
    assert judged(again(tmp_path / "one", tmp_path / "two", data=moved)) == judged(
        dict(first.summary)
    )


def changed_picture(images: Path) -> None:
    file = next(images.glob("*/*.png"))
    Image.new("RGB", (32, 32), (1, 2, 3)).save(file)


def removed_picture(images: Path) -> None:
    next(images.glob("*/*.png")).unlink()


@pytest.mark.parametrize("change", [changed_picture, removed_picture])
def test_other_images_are_refused_and_may_be_accepted(
    train: Train, images: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    train(images, tmp_path / "one")
    change(images)
    with pytest.raises(Mismatch, match="The data changed") as refused:
        again(tmp_path / "one", tmp_path / "two")
    assert refused.value.exit_code == 78
    assert "--accept-drift" in refused.value.hint
    assert not (tmp_path / "two").exists()
    told = again(tmp_path / "one", tmp_path / "two", accept_drift=True)["repeats"]["drift"]
    assert "The data changed" in told[0]


def test_another_version_is_refused_with_what_to_install_and_may_be_accepted(
    train: Train, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(images, tmp_path / "one")
    monkeypatch.setattr(provenance, "__version__", "9.9")
    with pytest.raises(Mismatch, match=r"zoo-registry was .* and is 9\.9: uv pip install"):
        again(tmp_path / "one", tmp_path / "two")
    assert not (tmp_path / "two").exists()
    summary = again(tmp_path / "one", tmp_path / "two", accept_drift=True)
    assert len(summary["repeats"]["drift"]) == 1
    page = (tmp_path / "two" / "report.html").read_text()
    assert "zoo-registry was" in page


def test_another_device_is_drift(train: Train, images: Path, tmp_path: Path) -> None:
    train(images, tmp_path / "one")
    plan = json.loads((tmp_path / "one" / "plan.json").read_text())
    plan["device"]["name"] = "cuda:0"
    (tmp_path / "one" / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(Mismatch, match="name was cuda:0 and is cpu"):
        again(tmp_path / "one", tmp_path / "two")


def test_a_repeat_can_be_resumed_and_repeated(train: Train, images: Path, tmp_path: Path) -> None:
    first = train(images, tmp_path / "one")
    again(tmp_path / "one", tmp_path / "two")
    third = again(tmp_path / "two", tmp_path / "three")
    assert judged(third) == judged(dict(first.summary))
    assert third["repeats"]["run"] == str(tmp_path / "two")


def test_what_is_no_run_cannot_be_repeated(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="no run folder"):
        again(tmp_path, tmp_path / "two")
