from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from zoo.data.dataset import Dataset, source, survey
from zoo.data.demo import demo_folder
from zoo.errors import BadData, InputMissing

Draw = Any  # a fixture that draws pictures


def surveyed(path: Path, seed: int = 0, val_fraction: float = 0.2) -> Dataset:
    return survey(path, seed=seed, val_fraction=val_fraction, threads=2)


def test_classes_are_in_order_and_targets_are_their_places(images: Path) -> None:
    found = surveyed(images)
    assert found.classes == ("ant", "bee", "cat")
    assert found.targets.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert found.counts("train") == (4, 4, 4)
    assert found.counts("val") == (1, 1, 1)
    assert found.counts("test") == (0, 0, 0)
    assert not found.given


def test_every_row_is_in_one_split_in_the_order_of_its_content(images: Path) -> None:
    found = surveyed(images)
    rows = [row for split in ("train", "val", "test") for row in found.rows(split)]
    assert sorted(rows) == [*range(15)]
    for split in ("train", "val"):
        digests = [found.digests[row] for row in found.rows(split)]
        assert digests == sorted(digests)


def test_another_seed_is_another_split(images: Path) -> None:
    assert surveyed(images).splits == surveyed(images).splits
    assert len({surveyed(images, seed).splits for seed in range(8)}) > 1


def test_a_given_validation_part_is_kept(draw: Draw, tmp_path: Path) -> None:
    draw(tmp_path / "data", (3, 3), split="train")
    draw(tmp_path / "data", (1, 2), split="valid", first=10)
    found = surveyed(tmp_path / "data")
    assert found.given
    assert (found.counts("train"), found.counts("val")) == ((3, 3), (1, 2))
    assert found.to_json(seed=5)["seed"] is None


def test_a_test_part_alone_leaves_the_validation_part_to_be_split_off(
    draw: Draw, tmp_path: Path
) -> None:
    draw(tmp_path / "data", (5, 5), split="train")
    draw(tmp_path / "data", (2, 2), split="test", first=10)
    found = surveyed(tmp_path / "data")
    assert [found.counts(split) for split in ("train", "val", "test")] == [(4, 4), (1, 1), (2, 2)]
    assert found.to_json(seed=5)["seed"] == 5


def test_rows_that_go_move_nobody_else(images: Path) -> None:
    found = surveyed(images)
    less = found.without([0, 7])
    kept = [row for row in range(15) if row not in {0, 7}]
    assert less.splits == tuple(found.splits[row] for row in kept)
    assert less.digests == tuple(found.digests[row] for row in kept)
    assert less.classes == found.classes
    assert sum(less.counts("train") + less.counts("val")) == 13


def test_the_split_is_written_by_name_and_hash(images: Path) -> None:
    record = json.loads(json.dumps(surveyed(images, seed=3).to_json(seed=3)))
    assert record["seed"] == 3
    assert record["files"][0] == {
        "name": "ant/0.png",
        "class": "ant",
        "split": surveyed(images, seed=3).splits[0],
        "sha256": surveyed(images).digests[0],
    }


def test_what_a_reader_should_know_is_noted(draw: Draw, tmp_path: Path) -> None:
    data = tmp_path / "data"
    draw(data, (3, 3), split="train")
    draw(data, (1, 1), split="val", first=10)
    assert surveyed(data).notes() == []
    (data / "train" / "ant" / "notes.txt").write_text("")
    shutil.copy(data / "val/ant/10.png", data / "train/ant/leak.png")
    shutil.copy(data / "train/bee/0.png", data / "train/ant/doubt.png")
    ignored, conflict, leak = surveyed(data).notes()
    assert ignored == "1 file is no image and was passed over: train/ant/notes.txt"
    assert conflict == (
        "1 image occurs under more than one class: train/ant/doubt.png = train/bee/0.png"
    )
    assert leak.startswith(
        "1 image stands in training and in validation or test alike: train/ant/le"
    )


def test_rows_that_cannot_be_read_are_told_of_when_they_are_left_out(images: Path) -> None:
    found = surveyed(images)
    name = found.table.rows[4].name
    less = found.skipping([(4, "an empty file")])
    assert less.skipped == ((name, "an empty file"),)
    assert less.to_json(seed=0)["skipped"] == [{"name": name, "reason": "an empty file"}]
    assert less.notes() == [f"1 image cannot be read and was skipped: {name} (an empty file)"]
    assert less.splits == found.without([4]).splits


def test_demo_is_a_set_of_our_own_and_anything_else_a_path(tmp_path: Path) -> None:
    assert source("demo") == demo_folder()
    assert source(tmp_path) == source(str(tmp_path)) == tmp_path
    assert source("~/x") == Path.home() / "x"


def test_a_note_names_some_of_many_files(draw: Draw, tmp_path: Path) -> None:
    data = draw(tmp_path / "data")
    for name in "abcd":
        (data / f"{name}.txt").write_text("")
    (ignored,) = surveyed(data).notes()
    assert ignored == "4 files are no images and were passed over: a.txt; b.txt; c.txt ..."


def test_progress_is_told(images: Path) -> None:
    told: list[tuple[int, int]] = []
    survey(
        images,
        seed=0,
        val_fraction=0.2,
        threads=1,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(done, 15) for done in range(1, 16)]


def test_nothing_and_no_image_set_are_refused(images: Path, tmp_path: Path) -> None:
    with pytest.raises(InputMissing):
        surveyed(tmp_path / "nowhere")
    with pytest.raises(BadData):
        surveyed(images / "ant")
