from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Zoo


def test_json_gives_the_reported_figure(finished: Path, images: Path, zoo: Zoo) -> None:
    code, out, err = zoo("eval", finished, "--data", images, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    told = json.loads((finished / "summary.json").read_text())["val"]
    assert {key: found[key] for key in told} == told
    assert list(found)[:5] == ["split", "top1", "macro_f1", "n", "interval"]


def test_words_give_the_figure_and_a_line_for_each_class(
    finished: Path, images: Path, zoo: Zoo
) -> None:
    code, out, _ = zoo("eval", finished, "--data", images, "--split", "all")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith("all top-1 ")
    assert "n = 15" in lines[0]
    assert [line.split()[:2] for line in lines[2:]] == [["ant", "5"], ["bee", "5"], ["cat", "5"]]


def test_a_split_that_the_run_has_not_is_said_to_be_none(
    finished: Path, images: Path, zoo: Zoo
) -> None:
    code, _, err = zoo("eval", finished, "--data", images, "--split", "test")
    assert code == 78
    assert "The run has no test images" in err
    assert "--split all" in err


def test_images_that_are_gone_are_named_beside_the_figure(
    finished: Path, images: Path, zoo: Zoo
) -> None:
    files = json.loads((finished / "split.json").read_text())["files"]
    lost = min(one["name"] for one in files if one["split"] == "val")
    (images / lost).unlink()
    code, out, err = zoo("eval", finished, "--data", images, "--json")
    assert code == 0
    assert err == f"1 images of the split are not in {images}: {lost}\n"
    assert json.loads(out)["missing"] == [lost]


def test_images_that_changed_are_named_as_such(finished: Path, images: Path, zoo: Zoo) -> None:
    files = json.loads((finished / "split.json").read_text())["files"]
    one, other = sorted(one["name"] for one in files if one["split"] == "val")[:2]
    shutil.copy(images / other, images / one)
    code, out, err = zoo("eval", finished, "--data", images, "--json")
    assert code == 0
    assert err == f"1 images of the split are others of the same name in {images}: {one}\n"
    assert (json.loads(out)["missing"], json.loads(out)["changed"]) == ([one], [one])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"precision": "bf16"}, "its precision was bf16 and is fp32"),
        ({"name": "cuda:3", "title": "Card"}, "its name was cuda and is cpu"),
        ({"threads": 64, "title": "CPU, 64 threads"}, "its threads was 64 and is 1"),
        ({"processor": ["abacus"]}, "its processor had abacus and has "),
    ],
)
def test_what_the_figure_was_made_with_and_is_not_here_is_told(
    finished: Path, images: Path, zoo: Zoo, *, change: dict[str, object], words: str
) -> None:
    told = json.loads((finished / "summary.json").read_text())
    told["device"].update(change)
    (finished / "summary.json").write_text(json.dumps(told))
    code, out, err = zoo("eval", finished, "--data", images, "--json")
    assert code == 0
    assert f"device: {words}" in err
    assert "the figure may differ in its last digits" in err
    assert len(json.loads(out)["differs"]) == 1 + ("title" in change and "name" in change)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ("no data", 66, "is not there"),
        ("no model", 66, "is not finished"),
        ("damaged", 65, "is damaged"),
        ("other class", 78, "does not know the classes dog"),
        ("no such split", 2, "--split"),
    ],
)
def test_what_cannot_be_measured_says_why(  # noqa: PLR0913 - a table and fixtures
    finished: Path, images: Path, tmp_path: Path, zoo: Zoo,
    *, change: str, code: int, words: str,
) -> None:  # fmt: skip
    split = "none" if change == "no such split" else "val"
    if change == "no data":
        images.rename(tmp_path / "moved")
    elif change == "no model":
        shutil.rmtree(finished / "model")
    elif change == "damaged":
        (finished / "model" / "model.safetensors").write_bytes(b"")
    elif change == "other class":
        (images / "cat").rename(images / "dog")
    got, out, err = zoo("eval", finished, "--data", images, "--split", split)
    assert (got, out) == (code, "")
    assert words in err
