from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import zoo
from zoo import folders
from zoo.corridor import resume
from zoo.errors import (
    CannotCreate,
    UsageError,
)
from zoo.inference import evaluate
from zoo.progress import Silent

from .ears import Ear, read, tree

if TYPE_CHECKING:
    from zoo.history import EpochRecord

Train = Any  # a fixture that trains
Draw = Any  # a fixture that draws pictures
pytestmark = pytest.mark.usefixtures("tiny")


# what a run leaves


def test_a_run_leaves_the_fixed_names(images: Path, tmp_path: Path, train: Train) -> None:
    done = train(images, tmp_path / "run")
    assert done.folder == tmp_path / "run"
    assert {path.name for path in done.folder.iterdir()} == {
        *("plan.json", "classes.json", "split.json", "metrics.jsonl", "summary.json"),
        *("checkpoints", "model", "report.html", "exit.json"),
    }
    assert {path.name for path in (done.folder / "model").iterdir()} == {
        "model.safetensors",
        "model.json",
    }
    assert read(done.folder / "classes.json") == ["ant", "bee", "cat"]
    assert read(done.folder / "exit.json")["status"] == "finished"
    assert read(done.folder / "exit.json")["code"] == 0
    assert len((done.folder / "metrics.jsonl").read_text().splitlines()) == 3


def test_the_summary_says_what_was_run_and_what_came_of_it(
    images: Path, tmp_path: Path, train: Train
) -> None:
    done = train(images, tmp_path / "run")
    told = read(done.folder / "summary.json")
    assert told == done.summary
    assert list(told) == [
        *("spec", "entry", "status", "headline", "val", "test", "train", "classes", "data"),
        *("seconds", "device"),
    ]
    assert told["spec"] == "tiny/net+heads/linear+losses/cekl"
    assert (told["status"], told["headline"], told["test"]) == ("finished", "val", None)
    assert set(told["val"]) >= {"top1", "macro_f1", "n", "interval", "per_class", "confusion"}
    assert told["val"]["n"] == 3
    assert told["train"]["images"] == [4, 4, 4]
    assert set(told["seconds"]) == {"setup", "features", "probe", "evaluation", "total"}
    assert told["val"]["top1"] == done.summary["val"]["top1"]


def test_a_second_run_says_that_it_reads_nothing_anew(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.data.hashes.UNSETTLED_NS", 0)  # the pictures here are young
    ears = [Ear(), Ear(), Ear()]
    for number, ear in enumerate(ears[:2]):
        train(images, tmp_path / str(number), listener=ear)
    assert not [line for line in ears[0].notes if "known from before" in line]
    known = "data: 15 images, {} hashed and {} decoded, the others known from before"
    assert known.format(0, 0) in ears[1].notes
    (images / "ant" / "0.png").write_bytes((images / "ant" / "1.png").read_bytes() + b"more")
    train(images, tmp_path / "2", listener=ears[2])
    assert known.format(1, 1) in ears[2].notes


def test_metrics_have_a_line_for_each_epoch(images: Path, tmp_path: Path, train: Train) -> None:
    ear = Ear()
    done = train(images, tmp_path / "run", listener=ear, epochs=2, batch_size=8)
    lines = [json.loads(line) for line in (done.folder / "metrics.jsonl").read_text().splitlines()]
    assert lines == [record.to_json() for record in ear.records]
    assert [(line["phase"], line["epoch"], line["step"]) for line in lines] == [
        ("probe", 1, 2),
        ("probe", 2, 4),
    ]
    for line in lines:
        assert line["loss"] == pytest.approx(sum(line["terms"].values()))
        assert set(line["terms"]) == {"ce", "kl"}
        assert 0 <= line["top1"] <= 1
        assert line["images_per_second"] > 0


def test_the_first_loss_of_a_head_that_starts_at_zero_is_known(
    images: Path, tmp_path: Path, train: Train
) -> None:
    import math

    done = train(images, tmp_path / "run", epochs=1, batch_size=12)
    (line,) = (done.folder / "metrics.jsonl").read_text().splitlines()
    terms = json.loads(line)["terms"]
    p = [0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3]
    assert terms["ce"] == pytest.approx(math.log(3), rel=1e-5)
    entropy = -sum(one * math.log(one) for one in p)
    assert terms["kl"] == pytest.approx(math.log(3) - entropy, rel=1e-5)


def test_the_split_names_every_image_with_its_hash(
    images: Path, tmp_path: Path, train: Train
) -> None:
    record = read(train(images, tmp_path / "run", seed=4).folder / "split.json")
    assert record["seed"] == 4
    assert len(record["files"]) == 15
    for one in record["files"]:
        data = (images / one["name"]).read_bytes()
        assert one["sha256"] == hashlib.sha256(data).hexdigest()
        assert one["class"] == one["name"].split("/")[0]
    assert sum(one["split"] == "val" for one in record["files"]) == 3


def test_a_given_test_part_is_the_headline_and_looked_at_once(
    draw: Draw, tmp_path: Path, train: Train
) -> None:
    for split, first, counts in (("train", 0, (3, 3)), ("val", 10, (2, 2)), ("test", 20, (2, 1))):
        draw(tmp_path / "data", counts, split=split, first=first)
    ear = Ear()
    done = train(tmp_path / "data", tmp_path / "run", listener=ear)
    assert done.summary["headline"] == "test"
    assert (done.summary["val"]["n"], done.summary["test"]["n"]) == (4, 3)
    assert ear.stages.count("test features 3 images") == 1
    assert read(done.folder / "split.json")["seed"] is None
    assert "test top-1" in repr(done)
    assert "the headline: looked at once" in repr(done)


def test_runs_without_a_folder_are_numbered(images: Path, train: Train) -> None:
    folders = [train(images, None, epochs=1).folder for _ in range(2)]
    assert folders == [Path("runs/tiny-net-linear-cekl-1"), Path("runs/tiny-net-linear-cekl-2")]


def test_a_run_can_be_shown_in_a_notebook_and_loaded(
    images: Path, tmp_path: Path, train: Train
) -> None:
    done = train(images, tmp_path / "run")
    assert done._repr_html_().startswith("<pre>tiny/net+")
    assert "the headline: " in done._repr_html_()
    assert done.load("cpu").classes == ("ant", "bee", "cat")


def test_settings_are_given_by_name_in_python(images: Path, tmp_path: Path) -> None:
    done = zoo.run(
        "tiny/net+linear+ce",
        images,
        out=tmp_path / "run",
        listener=Silent(),
        weights="none",
        train="probe",
        epochs=1,
        settings={"loss.label_smoothing": 0.25},
    )
    assert done.summary["spec"] == "tiny/net+heads/linear+losses/ce:label_smoothing=0.25"


# the data stay as they are, and where they lie does not matter


def test_the_data_folder_is_never_written_to(images: Path, tmp_path: Path, train: Train) -> None:
    before = tree(images)
    done = train(images, tmp_path / "run")
    zoo.load(done.folder)(images / "ant" / "0.png")
    from zoo.inference import evaluate

    evaluate(done.folder, images)
    with pytest.raises(UsageError):
        resume(done.folder)
    assert tree(images) == before


@pytest.mark.parametrize("out", ["images", "images/runs", "images/../images/x"])
def test_a_run_folder_inside_the_data_is_refused(
    images: Path, tmp_path: Path, train: Train, out: str
) -> None:
    before = tree(images)
    with pytest.raises(CannotCreate, match="inside the data folder"):
        train(images, tmp_path / out)
    assert tree(images) == before


def test_numbered_runs_inside_the_data_are_refused_too(
    images: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images)
    with pytest.raises(CannotCreate, match="inside the data folder"):
        train(Path(), None)
    assert not (images / "runs").exists()


def test_a_table_may_lie_in_the_working_directory(
    images: Path, tmp_path: Path, train: Train
) -> None:
    rows = [
        f"images/{p.parent.name}/{p.name},{p.parent.name}" for p in sorted(images.rglob("*.png"))
    ]
    (tmp_path / "table.csv").write_text("path,label\n" + "\n".join(rows))
    assert train(Path("table.csv"), None, epochs=1).folder == Path("runs/tiny-net-linear-cekl-1")


def test_names_places_and_ignored_files_change_nothing(
    images: Path, tmp_path: Path, train: Train
) -> None:
    model = "model/model.safetensors"
    first = train(images, tmp_path / "a")
    moved = tmp_path / "elsewhere" / "photos"
    for place, path in enumerate(sorted(images.rglob("*.png"), reverse=True)):
        (moved / path.parent.name / "deeper").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, moved / path.parent.name / "deeper" / f"{place:03}.PNG")
    (moved / "ant" / "notes.txt").write_text("no picture")
    (moved / ".DS_Store").write_text("")
    second = train(moved, tmp_path / "b")
    splits = [
        {one["sha256"]: one["split"] for one in read(done.folder / "split.json")["files"]}
        for done in (first, second)
    ]
    assert splits[0] == splits[1]
    assert (first.folder / model).read_bytes() == (second.folder / model).read_bytes()
    assert first.summary["val"] == second.summary["val"]


def test_copies_of_an_image_stay_on_one_side(images: Path, tmp_path: Path, train: Train) -> None:
    for path in sorted(images.rglob("*.png")):
        shutil.copy(path, path.with_name(f"copy of {path.name}"))
    files = read(train(images, tmp_path / "run").folder / "split.json")["files"]
    sides: dict[str, set[str]] = {}
    for one in files:
        sides.setdefault(one["sha256"], set()).add(one["split"])
    assert len(files) == 30
    assert all(len(side) == 1 for side in sides.values())


@pytest.mark.parametrize("kind", ["below a file", "for reading alone"])
def test_a_cache_that_cannot_be_written_costs_time_alone_and_is_told_once(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    first = train(images, tmp_path / "first")
    known = folders.cache()
    if kind == "below a file":
        (tmp_path / "file").touch()
        monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file" / "cache"))
    else:

        def refuse(*_: object, dir: Path) -> None:  # noqa: A002 - as tempfile has it
            if dir == known:  # permissions do not stop an administrator
                raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    before, ear, place = tree(known), Ear(), os.environ["ZOO_CACHE"]
    second = train(images, tmp_path / "second", listener=ear)
    model = "model/model.safetensors"
    assert (first.folder / model).read_bytes() == (second.folder / model).read_bytes()
    (told,) = [note for note in ear.notes if note.startswith("cache: ")]
    assert told.startswith(f"cache: {place} cannot be written (")
    reads = "features: 12 of 12 images from the cache" in ear.notes
    assert reads is (kind == "for reading alone")
    assert evaluate(second.folder, images)["top1"] == second.summary["val"]["top1"]
    assert os.environ["ZOO_CACHE"] == place
    if kind == "for reading alone":
        assert {*tree(known)} == {*before}


def test_a_run_ends_in_its_folder_wherever_code_of_a_plugin_goes(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "astray").mkdir()

    class Wandering(Ear):
        def epoch(self, record: EpochRecord, epochs: int) -> None:
            super().epoch(record, epochs)
            os.chdir(tmp_path / "astray")

    monkeypatch.chdir(tmp_path)  # and back again at the end
    done = train(images, "out", listener=Wandering())
    assert done.folder == Path("out")
    assert read(tmp_path / "out" / "exit.json")["status"] == "finished"
    assert (tmp_path / "out" / "model" / "model.safetensors").exists()
    assert not [*(tmp_path / "astray").iterdir()]
