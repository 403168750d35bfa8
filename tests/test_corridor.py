from __future__ import annotations

import hashlib
import json
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.torch import load_file, save_file

import zoo
from zoo import corridor, hooks, observers, stopping
from zoo.corridor import resume
from zoo.errors import (
    BadData,
    BadWeights,
    CannotCreate,
    InputMissing,
    Mismatch,
    OutOfMemory,
    SpecError,
    Stopped,
    StorageFault,
    Unavailable,
    UnknownName,
    UsageError,
    ZooError,
)
from zoo.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.history import EpochRecord
    from zoo.index import Catalog

Train = Any  # a fixture that trains
Draw = Any  # a fixture that draws pictures
pytestmark = pytest.mark.usefixtures("tiny")


class Ear(Silent):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.stages: list[str] = []
        self.records: list[EpochRecord] = []
        self.open = 0

    def note(self, line: str) -> None:
        self.notes.append(line)

    def begin(self, stage: str, total: int, unit: str) -> None:
        self.open = 1
        self.stages.append(f"{stage} {total} {unit}")

    def end(self) -> None:
        self.open = 0

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        del epochs
        self.records.append(record)


def read(path: Path) -> Any:  # noqa: ANN401 - JSON
    return json.loads(path.read_text())


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder and the hash of its bytes, names and times of folders too."""
    return {
        str(path.relative_to(folder)): f"{path.stat().st_mtime_ns} "
        + (hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
        for path in sorted(folder.rglob("*"))
    }


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


# what bad input gets, and that nothing is left behind


def bad_image(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\x89PNG\r\n\x1a\n cut short")


BAD: dict[str, tuple[type[ZooError], int, str, dict[str, Any]]] = {
    "unknown backbone": (UnknownName, 69, "nat", {"spec": "tiny/nat+linear+cekl"}),
    "not a spec": (SpecError, 2, "parts", {"spec": "tiny/net+linear"}),
    "unknown entry": (UnknownName, 69, "no entry", {"spec": "demu"}),
    "impossible trio": (
        UsageError,
        2,
        "teacher",
        {"spec": "tiny/net+linear+cekl:target=teacher"},
    ),
    "unknown option": (UsageError, 2, "dropot", {"spec": "tiny/net+linear:dropot=1+cekl"}),
    "ill-typed setting": (UsageError, 2, "wants a whole number", {"epochs": "many"}),
    "unknown setting": (UsageError, 2, "did you mean 'epochs'", {"epoch": 2}),
    "weights file": (InputMissing, 66, "no such file", {"weights": "gone.pth"}),
    "unfetchable weights": (
        Unavailable,
        69,
        "no_such_package, which is not installed",
        {"weights": "default"},
    ),
    "no such observer": (Unavailable, 69, "--observe nobody", {"observe": ("nobody",)}),
    "no such teacher": (
        InputMissing,
        66,
        "holds no model",
        {"spec": "tiny/net+linear+cekl:target=teacher", "loss.teacher": "gone"},
    ),
    "no such device": (Unavailable, 69, "--device cuda", {"device": "cuda:15"}),
}


@pytest.mark.parametrize("out", ["run", None])
@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_leaves_nothing_behind(
    images: Path, train: Train, case: str, out: str | None
) -> None:
    error, code, words, settings = BAD[case]
    with pytest.raises(error) as caught:
        train(images, out, **settings)
    assert caught.value.exit_code == code
    assert words in str(caught.value)
    assert [path.name for path in Path().iterdir()] == ["images"]


def data_problem(folder: Path, name: str) -> Path:
    """The picture folder, spoilt."""
    if name == "missing":
        return folder / "nowhere"
    if name == "no class folders":
        return folder / "ant"
    if name == "single class":
        shutil.rmtree(folder / "bee")
        shutil.rmtree(folder / "cat")
    elif name == "empty class":
        (folder / "dog").mkdir()
    else:
        bad_image(folder / "ant", "bad.png")
        bad_image(folder / "cat", "worse.png")
    return folder


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("missing", InputMissing, ("nowhere",)),
        ("no class folders", BadData, ("ant",)),
        ("single class", BadData, ("single class",)),
        ("empty class", BadData, ("dog",)),
        ("unreadable", BadData, ("2 of the images", "ant/bad.png", "cat/worse.png", "skip")),
    ],
)
def test_bad_data_leave_nothing_behind(
    images: Path, train: Train, name: str, error: type[ZooError], words: tuple[str, ...]
) -> None:
    data = data_problem(images, name)
    ear = Ear()
    with pytest.raises(error) as caught:
        train(data, None, listener=ear)
    for word in words:
        assert word in str(caught.value)
    assert [path.name for path in Path().iterdir()] == ["images"]
    assert ear.open == 0


def test_bad_images_can_be_skipped_and_are_named(
    images: Path, tmp_path: Path, train: Train
) -> None:
    data_problem(images, "unreadable")
    ear = Ear()
    done = train(images, tmp_path / "run", listener=ear, bad_images="skip")
    said = "\n".join(ear.notes)
    assert "2 images cannot be read and are skipped" in said
    assert "bad.png" in said
    assert "worse.png" in said
    split = read(done.folder / "split.json")
    files, bad = split["files"], {"ant/bad.png", "cat/worse.png"}
    assert {one["name"] for one in files}.isdisjoint(bad)
    assert {one["name"] for one in split["skipped"]} == bad
    assert all(one["reason"] for one in split["skipped"])
    said = next(line for line in done.summary["data"] if line.startswith("2 images cannot be"))
    assert "were skipped: ant/bad.png (" in said
    assert "bad.png" in (done.folder / "report.html").read_text()
    counts = [
        sum(one["class"] == name and one["split"] == "train" for one in files)
        for name in ("ant", "bee", "cat")
    ]
    assert read(done.folder / "plan.json")["counts"]["train"] == counts
    assert done.summary["train"]["images"] == counts


def test_a_class_of_bad_images_alone_cannot_be_skipped(images: Path, train: Train) -> None:
    for path in (images / "bee").iterdir():
        bad_image(images / "bee", path.name)
    with pytest.raises(BadData, match="No training image is left of: bee"):
        train(images, None, bad_images="skip")
    assert [path.name for path in Path().iterdir()] == ["images"]


def test_weights_that_do_not_fit_leave_nothing_behind(images: Path, train: Train) -> None:
    import torch

    save_file({"conv.weight": torch.ones(2)}, "w.safetensors")
    with pytest.raises(BadWeights, match=r"matched 0 of 6 tensors") as caught:
        train(images, None, weights="w.safetensors")
    assert caught.value.exit_code == 65
    assert sorted(path.name for path in Path().iterdir()) == ["images", "w.safetensors"]


def test_weights_that_nobody_serves_leave_nothing_behind(
    images: Path, train: Train, tiny: Callable[..., Catalog]
) -> None:
    tiny(weights=(zoo.Weights(tag="v1", default=True, source="http://127.0.0.1:9/net.pth"),))
    with pytest.raises(Unavailable, match=r"cannot be fetched.*127\.0\.0\.1:9") as caught:
        train(images, None, weights="default", image_size=32)
    assert caught.value.exit_code == 69
    assert "--weights FILE" in caught.value.hint
    assert "--weights none" in caught.value.hint
    assert [path.name for path in Path().iterdir()] == ["images"]


def test_a_folder_that_is_not_empty_is_left_as_it_is(
    images: Path, tmp_path: Path, train: Train
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("mine")
    with pytest.raises(CannotCreate, match="not empty") as caught:
        train(images, tmp_path / "run")
    assert caught.value.exit_code == 73
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.tex"]


def test_a_plugin_that_fails_at_its_work_is_named(
    images: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo.errors import PluginFault

    def failing(*_: object) -> None:
        raise IndexError("no such pixel")

    monkeypatch.setattr("zoo_heads.linear.Linear.forward", failing)
    with pytest.raises(PluginFault, match=r"heads/linear \(zoo-heads 1\.0\) fails on .*IndexErr"):
        train(images, None)
    assert [path.name for path in Path().iterdir()] == ["images"]


ACCIDENTS: dict[type[BaseException], tuple[type[ZooError], int]] = {
    MemoryError: (OutOfMemory, 71),
    OSError: (StorageFault, 74),
}


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_an_accident_while_decoding_has_its_exit_code(
    images: Path, train: Train, monkeypatch: pytest.MonkeyPatch, accident: type[BaseException]
) -> None:
    def failing(*_: object) -> None:
        raise accident("gone")

    monkeypatch.setattr(corridor, "ingested", failing)
    error, code = ACCIDENTS[accident]
    with pytest.raises(error) as caught:
        train(images, None)
    assert caught.value.exit_code == code
    assert [path.name for path in Path().iterdir()] == ["images"]


def test_out_of_memory_while_training_keeps_the_folder_and_says_how_it_ended(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def failing(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("zoo_losses.cekl.CrossEntropyKL.forward", failing)
    monkeypatch.setattr("zoo.training.assemble._Reach.__init__", _reached)
    with pytest.raises(OutOfMemory, match="device") as caught:
        train(images, tmp_path / "run")
    assert "--batch-size" in caught.value.hint
    assert read(tmp_path / "run" / "exit.json")["code"] == 71


def _reached(self: Any, *_: object) -> None:  # noqa: ANN401 - a proof's inner part
    self.terms, self.unused, self.head_params, self.loss_params = ("ce",), (), 27, 0


def test_a_bug_leaves_the_folder_for_whoever_looks_for_it(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(corridor, "ingested", failing)
    with pytest.raises(ZeroDivisionError):
        train(images, tmp_path / "run")
    ending = read(tmp_path / "run" / "exit.json")
    assert (ending["code"], ending["reason"]) == (1, "ZeroDivisionError: a bug")


# weights


def test_a_weights_file_fills_the_backbone_and_is_reported(
    images: Path, tmp_path: Path, train: Train, finished: Path
) -> None:
    ear = Ear()
    file = finished / "model" / "model.safetensors"
    done = train(images, tmp_path / "run", weights=str(file), listener=ear)
    assert "weights: matched 7 of 7" in ear.notes
    assert done.summary["train"]["weights"] == "matched 7 of 7"
    before, after = (load_file(path) for path in (file, done.folder / "model" / file.name))
    for name in before:
        assert name.startswith("head.") or before[name].equal(after[name])


def test_a_package_can_bring_the_default_weights(
    images: Path,
    tmp_path: Path,
    train: Train,
    finished: Path,
    tiny: Callable[..., Catalog],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = tmp_path / "site" / "tiny_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('never imported')")
    shutil.copy(finished / "model" / "model.safetensors", package / "net.safetensors")
    monkeypatch.syspath_prepend(tmp_path / "site")
    digest = hashlib.sha256((package / "net.safetensors").read_bytes()).hexdigest()
    weights = zoo.Weights(
        tag="v1",
        default=True,
        source="package:tiny_weights/net.safetensors",
        sha256=digest[:12],
        preprocess=zoo.Preprocess(size=(32, 32), resize=(32, 32)),
    )
    tiny(weights=(weights,))
    done = train(images, tmp_path / "run", weights="default")
    assert done.summary["spec"].startswith("tiny/net.v1+")
    assert done.summary["train"]["weights"] == "matched 7 of 7"


def test_a_download_is_told_and_can_be_stopped(
    images: Path, tmp_path: Path, train: Train, finished: Path,
    tiny: Callable[..., Catalog], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fetched(source: str, sha256: str, *, progress: Callable[[int, int], None]) -> Path:
        assert (source, sha256) == ("https://example.invalid/net.pth", "")
        for done in (400, 1000):
            progress(done, 1000)
        return finished / "model" / "model.safetensors"

    tiny(weights=(zoo.Weights(tag="v1", default=True, source="https://example.invalid/net.pth"),))
    monkeypatch.setattr("zoo.fetch.fetch", fetched)
    settings = {"weights": "default", "image_size": 32}
    ear = Ear()
    done = train(images, tmp_path / "run", listener=ear, **settings)
    assert ear.stages[0] == "download 1000 bytes"
    assert done.summary["train"]["weights"] == "matched 7 of 7"
    with pytest.raises(Stopped):
        train(images, tmp_path / "stopped", listener=Interrupt(signal.SIGINT), **settings)
    again = resume(tmp_path / "stopped", listener=Silent())
    assert again.summary["val"] == done.summary["val"]


def test_a_probe_that_was_chosen_for_the_user_says_what_the_rest_would_cost(
    images: Path, tmp_path: Path, train: Train, finished: Path
) -> None:
    ear = Ear()
    settings = {"weights": str(finished / "model" / "model.safetensors"), "train": "auto"}
    done = train(images, tmp_path / "run", listener=ear, **settings)
    assert done.summary["train"]["mode"] == "probe"
    (said,) = (line for line in ear.notes if line.startswith("train: probe, since on a CPU"))
    assert "--train lpft does it anyway (3 epochs, about 0 min here)" in said
    again = Ear()
    train(images, tmp_path / "again", listener=again, **settings)
    (said,) = (line for line in again.notes if line.startswith("train: probe, since on a CPU"))
    assert "--train lpft does it anyway (3 epochs)" in said  # nothing was timed
    assert "val features: 3 of 3 images from the cache" in again.notes


# a teacher


def test_a_teacher_is_asked_once_with_its_own_preprocessing(
    images: Path, tmp_path: Path, train: Train, finished: Path
) -> None:
    ear = Ear()
    spec = "tiny/net.v2+linear+cekl:target=teacher"
    settings = {"spec": spec, "loss__teacher": str(finished), "seed": 3}
    done = train(images, tmp_path / "run", listener=ear, **settings)
    assert ear.stages.count("teacher 12 images") == 1
    plan = read(done.folder / "plan.json")
    assert plan["extras"] == ["teacher_logits"]
    assert plan["teacher"] == str(finished)
    assert plan["preprocess"]["size"] == [48, 48]


def test_a_teachers_answers_are_those_it_gives_to_the_training_files(
    images: Path, tmp_path: Path, train: Train, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from zoo.training import train as room

    seen: list[Any] = []
    begin = room.train

    def spying(session: Any, **given: Any) -> None:  # noqa: ANN401 - passed on
        seen.append(session)
        begin(session, **given)

    monkeypatch.setattr(room, "train", spying)
    spec = "tiny/net.v2+linear+cekl:target=teacher"
    train(images, tmp_path / "run", spec=spec, loss__teacher=str(finished))
    (session,) = seen
    rows = session.dataset.table.rows
    teacher = zoo.load(finished, device="cpu")
    answers = teacher([rows[row].path for row in session.dataset.rows("train")])
    given = torch.softmax(session.extras["teacher_logits"], 1)
    expected = torch.tensor([[*one.probabilities.values()] for one in answers])
    torch.testing.assert_close(given, expected)


def test_a_teacher_of_other_classes_is_a_mismatch(
    draw: Draw, tmp_path: Path, train: Train, finished: Path
) -> None:
    spec = "tiny/net+linear+cekl:target=teacher"
    with pytest.raises(Mismatch, match="knows other classes: ant, bee, cat") as caught:
        train(draw(tmp_path / "two", (3, 3)), None, spec=spec, loss__teacher=str(finished))
    assert caught.value.exit_code == 78
    assert not Path("runs").exists()


# going on


class Interrupt(Ear):
    """Sends a signal at the n-th decoded picture."""

    def __init__(self, number: signal.Signals, at: int = 1) -> None:
        super().__init__()
        self.number, self.at = number, at

    def advance(self, count: int, *, loss: float | None = None) -> None:
        del count, loss
        self.at -= 1
        if self.at == 0:
            signal.raise_signal(self.number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_in_good_order_and_the_run_can_go_on(
    images: Path, tmp_path: Path, train: Train, number: signal.Signals, code: int
) -> None:
    handler = signal.getsignal(number)
    ear = Interrupt(number, at=3)
    with pytest.raises(Stopped, match=f"Stopped by {number.name}") as caught:
        train(images, tmp_path / "run", listener=ear)
    assert caught.value.exit_code == code
    assert ear.open == 0
    assert signal.getsignal(number) is handler
    ending = read(tmp_path / "run" / "exit.json")
    assert (ending["status"], ending["code"]) == ("stopped", code)
    assert resume(tmp_path / "run", listener=Silent()).summary["status"] == "finished"


def stopped(images: Path, folder: Path, train: Train) -> Path:
    with pytest.raises(Stopped):
        train(images, folder, listener=Interrupt(signal.SIGINT, at=17))
    return folder


def test_a_finished_run_is_not_resumed(finished: Path) -> None:
    with pytest.raises(UsageError, match="is finished"):
        resume(finished)


def test_what_is_no_run_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match=r"no run folder: it holds no plan\.json"):
        resume(tmp_path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "1 files came, 0 went, 0 changed:\n  came: ant/new.png": lambda data: shutil.copy(
        data / "bee" / "0.png", data / "ant" / "new.png"
    ),
    "0 files came, 1 went, 0 changed:\n  gone: cat/2.png": lambda data: (
        data / "cat/2.png"
    ).unlink(),
    "0 files came, 0 went, 1 changed:\n  changed: bee/1.png": lambda data: shutil.copy(
        data / "bee/2.png", data / "bee/1.png"
    ),
    "1 files came, 1 went, 0 changed:\n  came: bee/9.png\n  gone: ant/1.png": lambda data: (
        data / "ant/1.png"
    ).rename(data / "bee/9.png"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_data_that_changed_are_a_mismatch(
    images: Path, tmp_path: Path, train: Train, change: str
) -> None:
    folder = stopped(images, tmp_path / "run", train)
    CHANGES[change](images)
    with pytest.raises(Mismatch) as caught:
        resume(folder)
    assert change in caught.value.message
    assert caught.value.exit_code == 78


def test_a_stored_split_outlives_another_rule_of_splitting(
    images: Path, tmp_path: Path, train: Train
) -> None:
    folder = stopped(images, tmp_path / "run", train)
    split = read(folder / "split.json")
    for one in split["files"]:
        one["split"] = {"val": "train", "train": "train"}[one["split"]]
    for one in split["files"][:5]:
        one["split"] = "val" if one["name"] in {"ant/0.png", "ant/1.png"} else "train"
    (folder / "split.json").write_text(json.dumps(split))
    done = resume(folder, listener=Silent())
    assert read(folder / "split.json")["files"] == split["files"]
    assert done.summary["val"]["n"] == 2


def test_a_plugin_that_is_gone_or_another_is_a_mismatch(
    images: Path, tmp_path: Path, train: Train, tiny: Callable[..., Catalog]
) -> None:
    folder = stopped(images, tmp_path / "run", train)
    tiny(target="elsewhere:net")
    with pytest.raises(Mismatch, match="is another than the run's"):
        resume(folder)
    tiny(name="other")
    with pytest.raises(Mismatch, match=r"used tiny/net \(zoo-tiny 1\.0\), which is not") as caught:
        resume(folder)
    assert "zoo-tiny==1.0" in caught.value.hint


# observers


class Watching:
    """An observer's hooks, as a plugin module has them."""

    def __init__(self, *, faulty: bool = False) -> None:
        self.heard: list[Any] = []
        self.faulty = faulty

    @zoo.hookimpl
    def zoo_run_start(self, event: hooks.RunStart) -> None:
        self._hear(event)

    @zoo.hookimpl
    def zoo_epoch_end(self, event: hooks.EpochEnd) -> None:
        self._hear(event)

    @zoo.hookimpl
    def zoo_run_end(self, event: hooks.RunEnd) -> None:
        self._hear(event)

    def _hear(self, event: object) -> None:
        self.heard.append(event)
        if self.faulty:
            raise SystemExit(0) if len(self.heard) == 1 else RuntimeError("I am out")


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Callable[[Watching], None]:
    from zoo.plugins.distributions import Source

    def install(module: Watching) -> None:
        source = Source("zoo-acme", "3.1", "acme", "acme_module", "fingerprint")
        monkeypatch.setattr(observers, "sources", lambda: [source])
        monkeypatch.setitem(sys.modules, "acme_module", module)

    return install


def test_an_observer_hears_of_a_run_in_order(
    images: Path, tmp_path: Path, train: Train, watching: Callable[[Watching], None]
) -> None:
    module = Watching()
    watching(module)
    done = train(images, tmp_path / "run", observe=("acme",), epochs=2)
    start, *epochs, end = module.heard
    assert start == hooks.RunStart(done.folder, read(done.folder / "plan.json"))
    lines = (done.folder / "metrics.jsonl").read_text().splitlines()
    assert [one.record for one in epochs] == [json.loads(line) for line in lines]
    assert end == hooks.RunEnd(done.folder, "finished", done.summary)


def test_an_observer_that_fails_is_named_and_stops_nothing(
    images: Path, tmp_path: Path, train: Train, watching: Callable[[Watching], None]
) -> None:
    watching(Watching(faulty=True))
    ear = Ear()
    done = train(images, tmp_path / "run", observe=("acme",), epochs=1, listener=ear)
    assert done.summary["status"] == "finished"
    assert "observer zoo-acme 3.1: zoo_run_start failed: SystemExit: 0" in ear.notes
    assert "observer zoo-acme 3.1: zoo_run_end failed: RuntimeError: I am out" in ear.notes


def test_an_observer_hears_how_a_run_ended_that_did_not_finish(
    images: Path, tmp_path: Path, train: Train, watching: Callable[[Watching], None]
) -> None:
    module = Watching()
    watching(module)
    ear = Interrupt(signal.SIGINT, at=17)
    with pytest.raises(Stopped):
        train(images, tmp_path / "run", observe=("acme",), listener=ear)
    assert module.heard[-1] == hooks.RunEnd(tmp_path / "run", "stopped", None)
    done = corridor.resume(tmp_path / "run", listener=Silent())
    assert module.heard[-1] == hooks.RunEnd(tmp_path / "run", "finished", dict(done.summary))
    begun = [event for event in module.heard if isinstance(event, hooks.RunStart)]
    assert len(begun) == 2
    epochs = [event.record["epoch"] for event in module.heard if isinstance(event, hooks.EpochEnd)]
    assert sorted(set(epochs)) == list(range(1, len(set(epochs)) + 1))


def test_the_seconds_of_a_run_are_those_of_all_its_parts(
    images: Path, tmp_path: Path, train: Train, cold: Callable[[], None]
) -> None:
    full = {"train": "full", "epochs": 3}
    whole = train(images, tmp_path / "a", **full).summary["seconds"]
    assert whole["total"] >= sum(whole[name] for name in whole if name != "total") - 0.01
    cold()
    with pytest.raises(Stopped):
        train(images, tmp_path / "b", listener=Interrupt(signal.SIGINT, at=17), **full)
    (manifest,) = (tmp_path / "b/checkpoints").glob("step-*/position.json")
    before = read(manifest)["seconds"]
    after = corridor.resume(tmp_path / "b", listener=Silent()).summary["seconds"]
    assert after["total"] > before["total"] > 0
    assert all(after[name] >= seconds for name, seconds in before.items())


def test_signals_are_not_listened_to_outside_the_main_thread() -> None:
    import threading

    heard = list[stopping.Stop]()

    def listen() -> None:
        with stopping.listening() as stop:
            stop.check()
            heard.append(stop)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert len(heard) == 1
