"""What must not change when something that should not matter does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from zoo import corridor
from zoo.cli import main
from zoo.errors import Stopped
from zoo.training import feeds, predictor

if TYPE_CHECKING:
    from collections.abc import Callable

    Cold = Callable[[], None]
    Draw = Callable[..., Path]
    Train = Callable[..., corridor.Run]

pytestmark = pytest.mark.usefixtures("tiny")


def metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl less what the clock decides."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    clock = {"seconds", "images_per_second"}
    return [{key: value for key, value in line.items() if key not in clock} for line in lines]


def weights(run: Path) -> bytes:
    return (run / "model/model.safetensors").read_bytes()


def splits(run: Path) -> dict[str, str]:
    """Content → split."""
    files = json.loads((run / "split.json").read_text())["files"]
    return {one["sha256"]: one["split"] for one in files}


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[object, str]:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    return ended.value.code, capsys.readouterr().out


def labels(capsys: pytest.CaptureFixture[str], run: Path, images: Path) -> list[tuple[str, str]]:
    """The folder of each image and what the run says of it."""
    code, out = command(capsys, "predict", run, images, "--json")
    assert code == 0
    return [(Path(one["file"]).parent.name, one["class"]) for one in json.loads(out)]


@pytest.mark.parametrize("batch", [1, 3, 7, 15])
def test_accuracy_does_not_depend_on_the_batches_of_evaluation(
    finished: Path, images: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], batch: int,
) -> None:  # fmt: skip
    _, whole = command(capsys, "eval", finished, "--data", images, "--split", "all", "--json")
    for room in (feeds, predictor):
        monkeypatch.setattr(room, "FEATURE_BATCH", batch)
    code, out = command(capsys, "eval", finished, "--data", images, "--split", "all", "--json")
    assert code == 0
    assert json.loads(out) == json.loads(whole)
    assert json.loads(out)["n"] == 15


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_a_runs_figure_does_not_depend_on_the_batches_of_evaluation(
    images: Path, tmp_path: Path, train: Train, cold: Cold, monkeypatch: pytest.MonkeyPatch,
    batch: int,
) -> None:  # fmt: skip
    first = train(images, tmp_path / "first", epochs=4)
    cold()
    for room in (feeds, predictor):
        monkeypatch.setattr(room, "FEATURE_BATCH", batch)
    second = train(images, tmp_path / "second", epochs=4)
    assert first.summary["val"] == second.summary["val"]


@pytest.mark.parametrize(
    "names", [("1", "2", "10"), ("B", "a", "c"), ("\u00e9", "e", "z"), ("ant", "Ant", "ANT")]
)
def test_a_training_image_is_predicted_as_its_own_folder(
    images: Path, tmp_path: Path, train: Train, capsys: pytest.CaptureFixture[str],
    names: tuple[str, ...],
) -> None:  # fmt: skip
    if len({name.casefold() for name in names}) < 3 and (tmp_path / "IMAGES").exists():
        pytest.skip("this file system does not tell capitals apart")
    for old, new in zip(("ant", "bee", "cat"), names, strict=True):
        (images / old).rename(images / f"{old}-{new}")
        (images / f"{old}-{new}").rename(tmp_path / f"moved-{new}")
    for new in names:
        (tmp_path / f"moved-{new}").rename(images / new)
    run = train(images, tmp_path / "run", epochs=60, lr=0.05).folder
    assert json.loads((run / "classes.json").read_text()) == sorted(names)
    found = labels(capsys, run, images)
    assert len(found) == 15
    assert all(folder == label for folder, label in found)
    # and from a copy of the model alone, on copies of the images
    shutil.copytree(run / "model", tmp_path / "alone")
    shutil.copytree(images, tmp_path / "copies")
    assert labels(capsys, tmp_path / "alone", tmp_path / "copies") == found


@pytest.mark.parametrize("lacking", ["ant", "bee", "cat"])
def test_a_validation_folder_that_lacks_a_class_changes_no_label(
    draw: Draw, tmp_path: Path, train: Train, capsys: pytest.CaptureFixture[str], lacking: str
) -> None:
    data = draw(tmp_path / "data", (4, 4, 4), split="train")
    draw(data, (2, 2, 2), split="val", first=10)
    whole = train(data, tmp_path / "whole", epochs=60, lr=0.05)
    shutil.rmtree(data / "val" / lacking)
    less = train(data, tmp_path / "less", epochs=60, lr=0.05)
    assert weights(whole.folder) == weights(less.folder)
    assert labels(capsys, less.folder, data) == labels(capsys, whole.folder, data)
    assert all(folder == label for folder, label in labels(capsys, less.folder, data))
    assert less.summary["val"]["n"] == 4


@pytest.mark.parametrize("mode", ["probe", "full", "lpft"])
def test_the_same_seed_gives_the_same_run(
    images: Path, tmp_path: Path, train: Train, cold: Cold, mode: str
) -> None:
    first = train(images, tmp_path / "first", train=mode, probe__epochs=2, seed=3)
    cold()
    second = train(images, tmp_path / "second", train=mode, probe__epochs=2, seed=3)
    assert metrics(first.folder) == metrics(second.folder)
    assert weights(first.folder) == weights(second.folder)
    warm = train(images, tmp_path / "warm", train=mode, probe__epochs=2, seed=3)
    assert metrics(first.folder) == metrics(warm.folder)
    assert weights(first.folder) == weights(warm.folder)
    assert {**first.summary, "seconds": 0} == {**warm.summary, "seconds": 0}
    other = train(images, tmp_path / "other", train=mode, probe__epochs=2, seed=4)
    assert weights(first.folder) != weights(other.folder)


@pytest.mark.parametrize("mode", ["probe", "full"])
def test_workers_change_nothing(
    images: Path, tmp_path: Path, train: Train, cold: Cold, monkeypatch: pytest.MonkeyPatch,
    mode: str,
) -> None:  # fmt: skip
    from zoo.data import ingest, pool

    monkeypatch.setattr(ingest, "in_children", pool.in_children)
    monkeypatch.setattr(ingest, "FEW", 4)  # as many children as are asked for
    one = train(images, tmp_path / "one", train=mode, workers=1)
    cold()
    four = train(images, tmp_path / "four", train=mode, workers=4)
    assert metrics(one.folder) == metrics(four.folder)
    assert weights(one.folder) == weights(four.folder)


def test_renamed_and_moved_files_are_split_and_trained_alike(
    images: Path, tmp_path: Path, train: Train, cold: Cold
) -> None:
    first = train(images, tmp_path / "first")
    cold()
    moved = tmp_path / "moved"
    for number, path in enumerate(sorted(images.rglob("*.png"), key=lambda path: path.name)):
        place = moved / path.parent.name / "deeper" / f"{97 * number % 31}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    second = train(moved, tmp_path / "second")
    assert splits(first.folder) == splits(second.folder)
    assert metrics(first.folder) == metrics(second.folder)
    assert weights(first.folder) == weights(second.folder)


def test_a_table_and_folders_of_the_same_images_are_the_same_run(
    images: Path, tmp_path: Path, train: Train, cold: Cold
) -> None:
    first = train(images, tmp_path / "first")
    cold()
    lines = [
        f"images/{path.relative_to(images)},{path.parent.name}" for path in images.rglob("*.png")
    ]
    (tmp_path / "table.csv").write_text("path,label\n" + "\n".join(reversed(lines)))
    second = train(tmp_path / "table.csv", tmp_path / "second")
    assert splits(first.folder) == splits(second.folder)
    assert weights(first.folder) == weights(second.folder)


def tree(folder: Path) -> dict[str, tuple[object, ...]]:
    """Every name below a folder with its mode, times and bytes."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode,
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else sorted(one.name for one in path.iterdir()),
        )
        for path in (folder, *folder.rglob("*"))
    }


def test_no_command_changes_the_data(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run = (
        *("run", "tiny/net+linear+cekl", "--data", "images", "--weights", "none"),
        *("--device", "cpu", "--epochs", "2", "--train"),
    )
    before = tree(images)

    def leaves_alone(*arguments: object, code: int = 0) -> None:
        assert command(capsys, *arguments)[0] == code, arguments
        assert tree(images) == before, arguments

    def stopping(_watchers: object, _folder: object, record: Any) -> None:  # noqa: ANN401 - a record
        raise Stopped(f"Stopped by a test in epoch {record.epoch}.")

    leaves_alone(*run, "probe", "--dry-run")
    leaves_alone("bench", *run[1:-3], "--train", "lpft", "--seconds", "0.01")
    leaves_alone(*run, "probe", "--out", "probe")
    leaves_alone(*run, "lpft", "--out", "lpft", "--set", "probe.epochs=2")
    leaves_alone(*run, "full", "--out", "images/inside", code=73)
    with monkeypatch.context() as patch:
        patch.setattr(corridor.observers, "epoch", stopping)
        leaves_alone(*run, "full", "--out", "full", code=130)
    leaves_alone("resume", "full")
    leaves_alone("eval", "full", "--data", "images")
    leaves_alone("eval", "probe", "--data", "images", "--split", "all", "--json")
    leaves_alone("predict", "full", "images", "--csv")
    for arguments in (
        *(("show", "full"), ("show", "tiny/net"), ("list",), ("list", "--json"), ("doctor",)),
        *(("plugins",), ("why", "tiny/net")),
    ):
        with monkeypatch.context() as patch:
            patch.chdir(images)  # some commands look at the working directory
            leaves_alone(*(tmp_path / one if one == "full" else one for one in arguments))
