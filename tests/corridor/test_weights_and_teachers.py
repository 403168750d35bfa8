from __future__ import annotations

import hashlib
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.torch import load_file

import zoo
from zoo.corridor import resume
from zoo.errors import (
    Mismatch,
    Stopped,
)
from zoo.progress import Silent

from .ears import Ear, Interrupt, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.index import Catalog

Train = Any  # a fixture that trains
Draw = Any  # a fixture that draws pictures
pytestmark = pytest.mark.usefixtures("tiny")


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
    monkeypatch.setattr("zoo.fetch.fetch_file", fetched)
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
    images: Path, tmp_path: Path, train: Train, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.training.train._TELLING", 15)
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


def test_a_few_new_images_do_not_tell_how_long_all_would_take(
    images: Path, tmp_path: Path, train: Train, finished: Path
) -> None:
    """Most of the time that features took was not that of their forward passes."""
    ear = Ear()
    settings = {"weights": str(finished / "model" / "model.safetensors"), "train": "auto"}
    train(images, tmp_path / "run", listener=ear, **settings)
    (said,) = (line for line in ear.notes if line.startswith("train: probe, since on a CPU"))
    assert "--train lpft does it anyway (3 epochs)" in said


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
