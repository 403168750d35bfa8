from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.torch import save_file

import zoo
from zoo import corridor
from zoo.errors import (
    BadData,
    BadWeights,
    CannotCreate,
    InputMissing,
    OutOfMemory,
    SpecError,
    StorageFault,
    Unavailable,
    UnknownName,
    UsageError,
    ZooError,
)

from .ears import Ear, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.index import Catalog

Train = Any  # a fixture that trains
Draw = Any  # a fixture that draws pictures
pytestmark = pytest.mark.usefixtures("tiny")


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
    assert "images that cannot be read and are skipped, 2 in all:" in said
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
    assert "--image-size" in caught.value.hint  # not one image would fit
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
