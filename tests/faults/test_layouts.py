"""Group B of the fault matrix: the layout of data sets."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from zoo import corridor
from zoo.errors import Stopped

from .conftest import RUN, fill, read, refused, tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Zoo

    Draw = Callable[..., Path]

pytestmark = pytest.mark.usefixtures("images")


def apart(*splits: str, of: tuple[str, ...] = ("ant", "bee", "cat")) -> None:
    """Distribute the pictures of each class over folders of splits."""
    for label in of:
        for number, path in enumerate(sorted(Path("images", label).iterdir())):
            place = Path("images", splits[number % len(splits)], label, path.name)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)
        Path("images", label).rmdir()


def test_b1_a_path_that_is_missing(zoo: Zoo) -> None:
    Path("images").rename("elsewhere")
    refused(zoo(*RUN), 66, "images is not there", "nearest folder")


def test_b1_a_path_that_is_a_picture(zoo: Zoo) -> None:
    ended = zoo(*RUN, "--data", "images/ant/0.png")
    refused(ended, 65, "images/ant/0.png is neither a folder nor a table", "photos/cat/1.jpg")


def test_b1_an_empty_folder(zoo: Zoo) -> None:
    shutil.rmtree("images")
    Path("images").mkdir()
    refused(zoo(*RUN), 66, "images is empty", "photos/cat/1.jpg")


def test_b2_images_without_class_folders(zoo: Zoo) -> None:
    ended = zoo(*RUN, "--data", "images/ant")
    refused(ended, 65, "5 images directly inside", "photos/cat/1.jpg")


def test_b3_a_single_class(zoo: Zoo) -> None:
    for label in ("bee", "cat"):
        shutil.rmtree(Path("images", label))
    refused(zoo(*RUN), 65, "a single class, 'ant'", "a classifier needs two")


def test_b4_empty_classes_are_named_together(zoo: Zoo) -> None:
    Path("images/dodo").mkdir()
    fill("text")
    Path("images/text/notes.txt").write_text("none")
    refused(zoo(*RUN), 65, "class folders without an image", "dodo/", "text/", "take them away")


def test_b4_a_class_of_one_image_trains_and_is_warned_of(zoo: Zoo) -> None:
    fill("dodo", "ant/0.png")
    Path("images/ant/0.png").unlink()
    ended = zoo(*RUN)
    assert ended.code == 0
    assert "1 class has no validation image: dodo" in ended.err
    assert "1 class has no validation image: dodo" in read("summary.json")["data"]
    files = {one["name"]: one["split"] for one in read("split.json")["files"]}
    assert files["dodo/ant-0.png"] == "train"


def test_b5_a_class_that_only_val_has_is_refused(zoo: Zoo) -> None:
    apart("train", "train", "val")
    fill("val/dodo", "val/ant/2.png")
    refused(zoo(*RUN), 65, "classes without training images", "'dodo' in val")


@pytest.mark.parametrize("lacking", ["ant", "bee", "cat"])
def test_b5_a_class_that_val_lacks_changes_no_label(zoo: Zoo, lacking: str) -> None:
    apart("train", "train", "val")
    shutil.rmtree(Path("images/val", lacking))
    ended = zoo(*RUN)
    assert ended.code == 0
    assert f"1 class has no validation image: {lacking}" in ended.err
    assert read("classes.json") == ["ant", "bee", "cat"]
    split = read("split.json")["files"]
    assert all(one["class"] == one["name"].split("/")[1] for one in split)
    assert lacking not in {one["class"] for one in split if one["split"] == "val"}


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(names, id=f"B6-{'-'.join(names)}")
        for names in [("train", "test"), ("Train", "valid"), ("TRAIN", "validation", "Test")]
    ],
)
def test_split_folders_are_never_classes(zoo: Zoo, names: tuple[str, ...]) -> None:
    apart(*names)
    ended = zoo(*RUN)
    assert ended.code == 0
    assert read("classes.json") == ["ant", "bee", "cat"]
    spelt = {"valid": "val", "validation": "val"}
    for one in read("split.json")["files"]:
        told = spelt.get(one["name"].split("/")[0].lower(), one["name"].split("/")[0].lower())
        assert one["split"] == told or (
            told == "train" and "test" in names and one["split"] == "val"
        )
    assert (read("summary.json")["test"] is not None) == any(n.lower() == "test" for n in names)


@pytest.mark.parametrize(
    ("others", "words"),
    [
        pytest.param(("dodo",), "split folders (train, val) beside others", id="B6-beside-others"),
        pytest.param(("valid",), "two folders for one split", id="B6-twice"),
    ],
)
def test_unclear_splits_are_refused(zoo: Zoo, others: tuple[str, ...], words: str) -> None:
    apart("train", "val")
    for other in others:
        fill(f"{other}/ant", "train/ant/0.png")
    refused(zoo(*RUN), 65, words, *others)


def test_b6_splits_without_train_are_refused(zoo: Zoo) -> None:
    apart("val", "test")
    refused(zoo(*RUN), 65, "no train folder", "Add train/")


def test_b7_litter_is_passed_over_and_counted(zoo: Zoo) -> None:
    fill(".ipynb_checkpoints", "ant/0.png")
    fill("__MACOSX/ant", "ant/1.png")
    fill("ant/.ipynb_checkpoints", "ant/2.png")
    for name in (".DS_Store", "ant/._0.png", "bee/Thumbs.db", "cat/desktop.ini"):
        Path("images", name).write_bytes(b"litter")
    ended = zoo(*RUN)
    assert ended.code == 0
    assert "7 files are no images and were passed over: .DS_Store; " in ended.err
    assert read("classes.json") == ["ant", "bee", "cat"]
    assert len(read("split.json")["files"]) == 15


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_b8_loops_of_links_end_and_lend_no_class_anothers_images(zoo: Zoo) -> None:
    Path("images/ant/loop").symlink_to("..")
    Path("images/bee/self").symlink_to(".")
    Path("images/cat/round").symlink_to(Path("images").absolute())
    ended = zoo(*RUN)
    assert ended.code == 0
    assert len(read("split.json")["files"]) == 15
    assert "more than one class" not in ended.err


OUTSIDE = {
    "B8-file": ("images/ant/x.png", "../../elsewhere/0.png"),
    "B8-folder": ("images/ant/x", "../../elsewhere"),
    "B8-class": ("images/dodo", "../elsewhere"),
    "B8-root": ("images/ant/x", "/"),
}


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
@pytest.mark.parametrize(("link", "target"), OUTSIDE.values(), ids=OUTSIDE)
def test_links_out_of_the_data_are_refused(zoo: Zoo, link: str, target: str) -> None:
    shutil.copytree("images/ant", "elsewhere")
    Path(link).symlink_to(target)
    name = link.removeprefix("images/")
    refused(zoo(*RUN), 77, "links that lead out of it", name, "--set links=follow")
    if target != "/":
        assert zoo(*RUN, "--set", "links=follow").code == 0
        assert any(one["name"].startswith(name) for one in read("split.json")["files"])


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_b8_a_data_folder_that_is_itself_a_link(zoo: Zoo) -> None:
    Path("link").symlink_to("images")
    assert zoo(*RUN, "--data", "link").code == 0


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_b8_a_broken_link_is_a_bad_image(zoo: Zoo) -> None:
    Path("images/ant/x.png").symlink_to("nowhere.png")
    refused(zoo(*RUN), 65, "images/ant/x.png: ", "leads nowhere", "--bad-images skip")
    assert zoo(*RUN, "--bad-images", "skip").code == 0
    assert len(read("split.json")["files"]) == 15


def test_b8_hard_links_are_copies_and_stay_in_one_split(zoo: Zoo) -> None:
    for number in range(5):
        os.link(f"images/ant/{number}.png", f"images/ant/twin{number}.png")
    assert zoo(*RUN).code == 0
    splits: dict[str, set[str]] = {}
    for one in read("split.json")["files"]:
        splits.setdefault(one["sha256"], set()).add(one["split"])
    assert all(len(found) == 1 for found in splits.values())


def test_b9_the_same_bytes_under_two_classes_are_listed_and_never_validate(zoo: Zoo) -> None:
    for number in range(5):
        fill("bee", f"ant/{number}.png")
    ended = zoo(*RUN)
    assert ended.code == 0
    told = "5 images occur under more than one class: ant/"
    assert told in ended.err
    assert any(told in line for line in read("summary.json")["data"])
    doubtful = [one for one in read("split.json")["files"] if one["name"].startswith("ant/")]
    assert {one["split"] for one in doubtful} == {"train"}


def test_b9_the_same_bytes_in_train_and_val_are_counted(zoo: Zoo) -> None:
    apart("train", "train", "val")
    fill("val/ant", "train/ant/0.png", "train/ant/1.png")
    ended = zoo(*RUN)
    assert ended.code == 0
    told = "2 images stand in training and in validation or test alike: train/ant/"
    assert told in ended.err
    assert any(told in line for line in read("summary.json")["data"])


@pytest.mark.parametrize("train", ["probe", "full"])
@pytest.mark.parametrize(
    ("counts", "batch"),
    [
        pytest.param((3, 2), 64, id="B12-five-images"),
        pytest.param((1, 1), 64, id="B12-two-images"),
        pytest.param((6, 5), 4, id="B12-one-left-over"),
        pytest.param((6, 5), 1, id="B12-batches-of-one"),
    ],
)
def test_small_sets_and_odd_batches_are_trained_on_whole(
    zoo: Zoo, draw: Draw, counts: tuple[int, int], batch: int, train: str
) -> None:
    shutil.rmtree("images")
    draw(Path("images"), counts)
    ended = zoo(*RUN, "--train", train, "--batch-size", batch)
    assert ended.code == 0, ended.err
    lines = [json.loads(line) for line in Path("out/metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 2
    assert lines[-1]["step"] >= 2
    images = sum(read("summary.json")["train"]["images"])
    assert images == sum(1 for one in read("split.json")["files"] if one["split"] == "train")
    assert images >= 2


CHANGES: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
    "B13-added": (
        lambda: shutil.copy("images/bee/0.png", "images/ant/new.png"),
        ("came: ant/new.png",),
    ),
    "B13-removed": (lambda: Path("images/cat/2.png").unlink(), ("gone: cat/2.png",)),
    "B13-edited": (
        lambda: shutil.copy("images/bee/2.png", "images/bee/1.png"),
        ("changed: bee/1.png",),
    ),
    "B13-renamed": (
        lambda: Path("images/ant/1.png").rename("images/ant/9.png"),
        ("came: ant/9.png", "gone: ant/1.png"),
    ),
    "B13-class-renamed": (
        lambda: Path("images/ant").rename("images/emu"),
        ("came: emu/0.png", "gone: ant/0.png", "gone: ant/4.png"),
    ),
}


@pytest.fixture
def stopped(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was stopped after its first epoch."""

    def stopping(_watchers: object, _folder: object, record: Any) -> None:  # noqa: ANN401 - a record
        if record.epoch == 1:
            raise Stopped("Stopped by a test.")

    with monkeypatch.context() as patch:
        patch.setattr(corridor.observers, "epoch", stopping)
        assert zoo(*RUN, "--epochs", "4").code == 130
    return Path("out")


@pytest.mark.parametrize(("change", "named"), CHANGES.values(), ids=CHANGES)
def test_a_run_does_not_go_on_with_other_data(
    zoo: Zoo, stopped: Path, change: Callable[[], object], named: tuple[str, ...]
) -> None:
    change()
    before = tree(stopped / "checkpoints")
    ended = zoo("resume", stopped)
    assert (ended.code, ended.out) == (78, "")
    assert "The data changed since the run began" in ended.err
    assert all(line in ended.err for line in named)
    assert "start a new run" in ended.err
    assert tree(stopped / "checkpoints") == before


def test_b13_a_run_goes_on_once_the_data_are_restored(zoo: Zoo, stopped: Path) -> None:
    Path("images/cat/2.png").rename("kept.png")
    assert zoo("resume", stopped).code == 78
    Path("kept.png").rename("images/cat/2.png")
    assert zoo("resume", stopped).code == 0


def test_b14_a_data_folder_that_nobody_may_write_to(zoo: Zoo, ordinary_user: object) -> None:
    del ordinary_user
    folders = [Path("images"), *Path("images").iterdir()]
    for folder in folders:
        folder.chmod(0o555)
    try:
        with pytest.raises(PermissionError):
            Path("images/ant/new").touch()
        assert zoo(*RUN).code == 0
        assert zoo("eval", "out", "--data", "images").code == 0
        assert zoo("predict", "out", "images").code == 0
    finally:
        for folder in folders:
            folder.chmod(0o755)
