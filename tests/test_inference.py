from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import zoo
from zoo.errors import BadData, BadWeights, InputMissing, Mismatch
from zoo.inference import evaluate, load, predict
from zoo.training.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.index import Catalog

Train = Any  # a fixture that trains
Draw = Any  # a fixture that draws pictures
#: what is told beside a figure where nothing is unlike the run
ALIKE: dict[str, list[str]] = {"missing": [], "changed": [], "differs": []}


def read(path: Path) -> Any:  # noqa: ANN401 - JSON
    return json.loads(path.read_text())


def renamed(images: Path, target: Path) -> Path:
    """The same pictures under other names, in other places, with a stranger among them."""
    for place, path in enumerate(sorted(images.rglob("*.png"), reverse=True)):
        folder = target / path.parent.name / f"{place % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{place:02}.jpeg")
    return target


@pytest.fixture
def split_run(draw: Draw, tmp_path: Path, train: Train, tiny: object) -> Path:
    """A run on given splits that is right about some pictures and wrong about others."""
    del tiny
    data = tmp_path / "split"
    for split, first, counts in (
        ("train", 0, (6, 6, 6)),
        ("val", 10, (7, 5, 3)),
        ("test", 20, (4, 5)),
    ):
        draw(data, counts, split=split, first=first)
    for path in sorted(data.rglob("1?.png")):  # half of the validation part in a wrong colour
        if int(path.stem) % 2:
            Image.open(path).convert("L").save(path)
    return train(data, tmp_path / "run", epochs=2).folder


# the figure


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_reported_figure_comes_again_to_the_last_digit(
    split_run: Path, tmp_path: Path, split: str
) -> None:
    told = read(split_run / "summary.json")
    assert 0 < told["val"]["top1"] < 1
    moved = tmp_path / "elsewhere"
    shutil.copytree(split_run, moved / "copied run")
    data = renamed(tmp_path / "split" / split, moved / "photos")
    if split == "test":  # without `cat`: as many classes as the model knows are not needed
        assert {path.name for path in data.iterdir()} == {"ant", "bee"}
    shutil.rmtree(tmp_path / "split")
    shutil.rmtree(split_run)
    found = evaluate(moved / "copied run", data, split=split, device="cpu")
    assert found == {"split": split, **told[split], **ALIKE}


@pytest.mark.usefixtures("tiny")
def test_a_model_computes_in_the_precision_of_its_figures_on_the_same_kind_of_device(
    images: Path, tmp_path: Path, train: Train
) -> None:
    run = train(images, tmp_path / "run", precision="bf16")
    assert load(run.folder, device="cpu").device.precision == "bf16"
    assert evaluate(run.folder, images)["top1"] == run.summary["val"]["top1"]
    card = read(run.folder / "model" / "model.json")
    assert card["device"] == "cpu"


def test_the_headline_is_what_is_measured_if_nothing_is_said(
    split_run: Path, tmp_path: Path
) -> None:
    assert evaluate(split_run, tmp_path / "split")["split"] == "test"


def test_predictions_reproduce_the_figure_too(split_run: Path, tmp_path: Path) -> None:
    found = predict(split_run, [tmp_path / "split" / "val"], device="cpu")
    right = [
        path.parent.name == one.label
        for path, one in zip(found.paths, found.predictions, strict=True)
    ]
    assert sum(right) / len(right) == read(split_run / "summary.json")["val"]["top1"]


def test_a_seeded_split_is_found_by_content_among_all_images(
    finished: Path, images: Path, tmp_path: Path
) -> None:
    told = read(finished / "summary.json")["val"]
    data = renamed(images, tmp_path / "photos")
    assert evaluate(finished, data) == {"split": "val", **told, **ALIKE}
    assert evaluate(finished, data, split="train")["n"] == 12
    assert evaluate(finished, data, split="all")["n"] == 15


def test_images_that_are_gone_are_named(finished: Path, images: Path) -> None:
    files = read(finished / "split.json")["files"]
    lost = min(one["name"] for one in files if one["split"] == "val")
    (images / lost).unlink()
    found = evaluate(finished, images)
    assert (found["missing"], found["n"]) == ([lost], 2)


def test_none_of_the_images_is_a_mismatch(finished: Path, draw: Draw, tmp_path: Path) -> None:
    data = draw(tmp_path / "others", (2, 2, 2), first=50)
    with pytest.raises(Mismatch, match="None of the run's val images") as caught:
        evaluate(finished, data)
    assert caught.value.exit_code == 78
    assert "--split all" in caught.value.hint
    assert evaluate(finished, data, split="all")["n"] == 6


def test_a_copy_in_another_split_is_not_measured_twice(
    draw: Draw, tmp_path: Path, train: Train, tiny: object
) -> None:
    del tiny
    data = tmp_path / "leaky"
    draw(data, (4, 4), split="train")
    draw(data, (2, 2), split="val", first=10)
    shutil.copy(data / "val" / "ant" / "10.png", data / "train" / "ant" / "leak.png")
    shutil.copy(data / "val" / "bee" / "11.png", data / "val" / "bee" / "twin.png")
    done = train(data, tmp_path / "run", epochs=1)
    found = evaluate(done.folder, data, split="val")
    assert found == {"split": "val", **done.summary["val"], **ALIKE}
    assert found["n"] == 5


def test_a_class_that_the_model_does_not_know_is_a_mismatch(
    finished: Path, images: Path, draw: Draw
) -> None:
    (images / "cat").rename(images / "dog")
    with pytest.raises(Mismatch, match="does not know the classes dog") as caught:
        evaluate(finished, images, split="all")
    assert "ant, bee, cat" in caught.value.hint
    del draw


def test_an_unreadable_image_is_named(finished: Path, images: Path) -> None:
    (images / "ant" / "x.png").write_bytes(b"no picture")
    with pytest.raises(BadData, match=r"ant/x\.png"):
        evaluate(finished, images, split="all")


def test_a_model_alone_knows_no_split(finished: Path, images: Path) -> None:
    with pytest.raises(InputMissing) as caught:
        evaluate(finished / "model", images)
    assert "--split all" in caught.value.hint
    assert evaluate(finished / "model", images, split="all")["n"] == 15


# loading


@pytest.mark.parametrize("place", [".", "model"])
def test_a_run_or_its_model_alone_answers_paths_and_pictures(
    finished: Path, images: Path, tmp_path: Path, place: str
) -> None:
    alone = shutil.copytree(finished / place, tmp_path / "alone")
    model = zoo.load(alone, device="cpu")
    assert model.classes == ("ant", "bee", "cat")
    assert repr(model) == "<zoo model tiny/net+heads/linear+losses/cekl: 3 classes on cpu>"
    path = images / "bee" / "3.png"
    one = model(path)
    assert one.label == "bee"
    assert one.probability == max(one.probabilities.values())
    assert sum(one.probabilities.values()) == pytest.approx(1)
    assert list(one.probabilities) == ["ant", "bee", "cat"]
    with Image.open(path) as opened:
        assert model(opened) == model(str(path)) == one
    assert model([]) == []
    several = model([path, images / "cat" / "0.png"])
    assert [answer.label for answer in several] == ["bee", "cat"]


def test_pictures_of_any_mode_and_shape_are_answered(finished: Path) -> None:
    model = zoo.load(finished, device="cpu")
    grey = Image.fromarray(np.full((7, 90), 200, np.uint8))
    for mode in ("L", "1", "P", "RGBA", "LA", "CMYK", "I"):
        assert model(grey.convert(mode)).label in model.classes


def test_a_picture_lies_as_its_orientation_says(
    finished: Path, images: Path, tmp_path: Path
) -> None:
    model = zoo.load(finished, device="cpu")
    path = tmp_path / "turned.png"
    with Image.open(images / "ant" / "0.png") as upright:
        upright.save(tmp_path / "upright.png")
        exif = Image.Exif()
        exif[0x0112] = 6
        upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    assert model(path) == model(tmp_path / "upright.png")


def test_a_model_computes_the_same_whatever_the_batch(finished: Path, images: Path) -> None:
    model = zoo.load(finished, device="cpu")
    paths = sorted(images.rglob("*.png"))
    together, alone = model(paths), [model(path) for path in paths]
    assert [one.label for one in together] == [one.label for one in alone]
    for a, b in zip(together, alone, strict=True):
        assert a.probability == pytest.approx(b.probability, abs=1e-5)


def test_a_run_that_is_not_finished_says_how_to_go_on(finished: Path) -> None:
    shutil.rmtree(finished / "model")
    with pytest.raises(InputMissing, match="is not finished") as caught:
        load(finished)
    assert caught.value.exit_code == 66
    assert f"zoo resume {finished}" in caught.value.hint


def test_a_folder_without_a_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="holds no model"):
        load(tmp_path)


def damaged(model: Path, name: str) -> None:
    weights, card = model / "model.safetensors", model / "model.json"
    if name == "a bit":
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
    elif name == "cut off":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif name == "gone":
        weights.unlink()
    elif name == "no card":
        card.write_text("[")
    elif name == "another card":
        card.write_text("{}")
    elif name == "a list":
        card.write_text("[]")
    else:
        card.write_text(json.dumps({**read(card), "views": 2, "features": 3}))


@pytest.mark.parametrize(
    "name", ["a bit", "cut off", "gone", "no card", "another card", "a list", "another width"]
)
def test_a_damaged_model_is_bad_weights(finished: Path, name: str) -> None:
    damaged(finished / "model", name)
    with pytest.raises(BadWeights) as caught:
        load(finished)
    assert caught.value.exit_code == 65


def test_a_plugin_that_is_not_there_is_a_mismatch(
    finished: Path, tiny: Callable[..., Catalog]
) -> None:
    tiny(name="other")
    with pytest.raises(Mismatch, match=r"used tiny/net \(zoo-tiny 1\.0\), which is not") as caught:
        load(finished)
    assert caught.value.exit_code == 78
    assert "uv pip install zoo-tiny==1.0" in caught.value.hint


# prediction


def test_unreadable_files_cost_the_others_nothing(finished: Path, images: Path) -> None:
    bad = images / "ant" / "x.png"
    bad.write_bytes(b"no picture")
    found = predict(finished, [images / "ant", images / "bee" / "0.png", bad], device="cpu")
    assert [path.name for path in found.paths] == [
        *(f"{number}.png" for number in range(5)),
        "0.png",
    ]
    assert [one.label for one in found.predictions] == ["ant"] * 5 + ["bee"]
    assert [path for path, _ in found.problems] == [bad]


def test_pixels_are_read_from_the_disk_batch_by_batch(
    finished: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapped: list[bool] = []
    logits = Predictor.logits

    def noted(model: Predictor, made: np.ndarray, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        mapped.append(isinstance(made, np.memmap))
        return logits(model, made, *args, **options)

    monkeypatch.setattr(Predictor, "logits", noted)
    assert len(predict(finished, [images], device="cpu").paths) > 1
    evaluate(finished, images, device="cpu")
    assert mapped == [True, True]


def test_nothing_but_unreadable_files_gives_no_answer(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no picture")
    found = predict(finished, [tmp_path / "x.png"], device="cpu")
    assert (found.paths, found.predictions, len(found.problems)) == ((), (), 1)


def test_a_path_that_is_not_there_is_missing(finished: Path) -> None:
    with pytest.raises(InputMissing, match=r"nowhere\.png"):
        predict(finished, [Path("nowhere.png")])
