"""Asking a finished run: load its model, classify with it, measure it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo import caches, encoding, hot, installed, provenance, runfolder
from zoo.card import Card, read_card
from zoo.data.dataset import Dataset, source, survey
from zoo.data.ingest import unreadable
from zoo.errors import InputMissing, Mismatch
from zoo.index import catalog, load_target
from zoo.machine import cores
from zoo.manifest import refuse_link
from zoo.pictures import decoded
from zoo.progress import Listener, Silent
from zoo.runfolder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.installed import Wanted
    from zoo.training.assemble import Maker
    from zoo.training.device import Device
    from zoo.training.predictor import Predictor


def load(path: str | Path, *, device: str = "auto") -> Predictor:
    """The finished model of a run folder, or of a copy of its `model/`.

    Args:
        path: either folder.
        device: where it shall run.

    Returns:
        Something to call with paths and PIL images.

    Raises:
        InputMissing: there is no finished model.
        BadWeights: it is damaged.
        Mismatch: a plugin that it needs is not installed.
        Refused: something in the model's folder is a link.
    """
    folder = _model_folder(Path(path))
    card = read_card(folder)
    place = _place(card, device)
    parts = _maker(card.backbone), _maker(card.head)
    model = hot.room("predictor").load_model(folder, card, parts)
    predictor: Predictor = hot.room("predictor").Predictor(
        model, card.classes, card.preprocess, place, card.spec
    )
    return predictor


def _place(card: Card, device: str) -> Device:
    """Where a model runs, and how: on the kind of device that its figures are of, as there."""
    choose = hot.room("device").choose
    last = "on" if card.channels_last else "off"
    same: Device = choose(device, card.precision, last, layout=card.layout)
    if card.precision == "fp32" or same.torch.type == card.device:
        return same
    # Elsewhere bfloat16 may be slow, or not there.
    other: Device = choose(device, "auto", last, layout=card.layout)
    return other


def changed_plugins(path: str | Path) -> list[str]:
    """One line for each plugin that is installed in another version than the model was made with.

    Before them stands what else there is to tell of the plugins.

    Raises:
        ZooError: as `load`.
    """
    card, components = read_card(_model_folder(Path(path))), catalog()
    found = ((part, installed.find(components, part)) for part in (card.backbone, card.head))
    changed = [
        f"{part.full_name} is of {listed.owner}; the model was made with {part.version}"
        for part, listed in found
        if listed.version != part.version
    ]
    return [*components.notes, *changed]


def _model_folder(path: Path) -> Path:
    for folder in (path / runfolder.MODEL, path):
        if (folder / runfolder.MODEL_CARD).is_file():
            own = [folder / runfolder.MODEL_CARD, folder / runfolder.MODEL_WEIGHTS]
            for part in own if folder == path else [folder, *own]:
                refuse_link(part)
            return folder
    unfinished = (path / runfolder.PLAN).is_file()
    what = "is not finished: it holds no model" if unfinished else "holds no model"
    hint = f"Finish it: zoo resume {path}" if unfinished else "Name a run, such as runs/demo-1."
    raise InputMissing(f"{path} {what}.", hint=hint)


def _maker(wanted: Wanted) -> Maker:
    """A part of a stored model, taken from what is installed: a model file never names code."""
    listed = installed.find(catalog(), wanted)
    maker: Maker = hot.room("assemble").Maker(
        f"{listed.full_name} ({listed.owner})",
        load_target(listed),
        wanted.options,
        listed.component.provides,
    )
    return maker


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model says of files.

    Args:
        paths: the readable files, in order.
        predictions: one for each.
        problems: (path, reason) of those that cannot be read.
    """

    paths: tuple[Path, ...]
    predictions: tuple[Any, ...]
    problems: tuple[tuple[Path, str], ...]


def predict(path: str | Path, images: Sequence[Path], *, device: str = "auto") -> Answers:
    """Classify files and folders of images with a finished run or model.

    Raises:
        InputMissing: a path is not there, or no image is in it.
    """
    from zoo.data.table import read_images

    files = read_images(images)
    model = load(path, device=device)
    with caches.usable(Silent().note):
        found = decoded(files, model.preprocess)
    bad = {problem.index for problem in found.problems}
    good = [place for place in range(len(files)) if place not in bad]
    logits = model.logits(found.pixels, rows=found.pixels_row[good])
    found.close()
    return Answers(
        tuple(files[place] for place in good),
        tuple(model.predictions(logits)),
        tuple((problem.path, problem.reason) for problem in found.problems),
    )


def evaluate(
    path: str | Path, data: str | Path, *, split: str | None = None, device: str = "auto"
) -> dict[str, Any]:
    """Measure a finished run on labelled images.

    Args:
        path: the run folder, or a copy of its `model/` (then only `split="all"` is known).
        data: labelled images, wherever they lie now.
        split: `val`, `train`, `test`: the run's own images of that split, found by content hash;
            `all`: every image of `data`. None for the run's headline split.
        device: where to compute.

    Returns:
        `{"split", "top1", "macro_f1", "n", "interval", ...}`, with `missing`: the split's images
        that `data` lacks, `changed`: those of them that are there under their name with other
        content, and `differs`: what of the device is not as when the run's figure was made.

    Raises:
        Mismatch: none of the split's images are there, or `data` has classes the model lacks.
    """
    with caches.usable(Silent().note):  # where images are decoded, and the demo set is drawn
        return _evaluated(Path(path), data, split, device)


def _evaluated(path: Path, data: str | Path, split: str | None, device: str) -> dict[str, Any]:
    """See `evaluate`."""
    model = load(path, device=device)
    table = survey(source(data), seed=0, val_fraction=0.2, threads=cores())
    strange = sorted(set(table.classes) - set(model.classes))
    if strange:
        raise Mismatch(
            f"The model does not know the classes {encoding.line(', '.join(strange[:8]))}.",
            hint=f"It knows: {encoding.line(', '.join(model.classes[:20]))}.",
        )
    rows, missing, name = _rows_to_measure(path, table, split)
    paths = [table.table.rows[row].path for row in rows]
    place = {label: index for index, label in enumerate(model.classes)}
    target = np.array([place[table.table.rows[row].label] for row in rows], np.int64)
    logits = file_logits(model, paths, Silent(), f"{name} images")
    scores = hot.room("evaluate").score_numpy(logits, target)
    there = {row.name for row in table.table.rows}
    return {
        "split": name,
        **scores.to_json(model.classes),
        "missing": missing,
        "changed": [one for one in missing if one in there],
        "differs": _differs(path, model.device),
    }


def _differs(path: Path, device: Device) -> list[str]:
    """What of the device may move a figure's last digits against the run's; one line for each."""
    now = hot.room("device").description(device)
    if (path / runfolder.SUMMARY).is_file():
        told = RunFolder(path).read(runfolder.SUMMARY).get("device")
        before = told if isinstance(told, dict) else {}
    else:  # a copy of the model's folder
        card = read_card(_model_folder(path))
        before = {"name": card.device or device.torch.type, "precision": card.precision}
    kinds = {"name": str(before.get("name", "")).partition(":")[0]}, {"name": device.torch.type}
    if kinds[0] == kinds[1] == {"name": "cpu"}:
        before = {key: value for key, value in before.items() if key != "title"}  # says the threads
    drift = provenance.device_drift({**before, **kinds[0]}, {**now, **kinds[1]})
    return [one.told for one in drift]


def _rows_to_measure(
    path: Path, dataset: Dataset, split: str | None
) -> tuple[list[int], list[str], str]:
    """Which rows of the data to measure, in the order the run measured them; what is missing."""
    everything = sorted(
        range(len(dataset.digests)),
        key=lambda row: (dataset.digests[row], dataset.table.rows[row].name),
    )
    if split == "all":
        return everything, [], "all"
    files = _split_of(path)
    name = split or ("test" if any(one["split"] == "test" for one in files) else "val")
    wanted: dict[tuple[str, str], list[str]] = {}
    for one in files:
        if one["split"] == name:
            wanted.setdefault((one["sha256"], one["class"]), []).append(one["name"])
    rows = []
    for row in everything:
        # As many copies of an image as the split has, wherever else there are more.
        names = wanted.get((dataset.digests[row], dataset.table.rows[row].label))
        if names:
            names.pop()
            rows.append(row)
    if not any(one["split"] == name for one in files):
        raise Mismatch(
            f"The run has no {name} images: none were left aside when it was trained.",
            hint="Measure all images, those that it trained on among them: --split all",
        )
    if not rows:
        raise Mismatch(
            f"None of the run's {name} images are in these data.",
            hint="Measure all of them instead: --split all",
        )
    return rows, sorted(lost for names in wanted.values() for lost in names), name


def _split_of(path: Path) -> list[dict[str, str]]:
    """The files of split.json.

    Raises:
        InputMissing: there is none.
        BadData: it is damaged.
        Refused: it is a link.
    """
    refuse_link(path / runfolder.SPLIT)
    if not (path / runfolder.SPLIT).is_file():
        raise InputMissing(
            f"{path} has no {runfolder.SPLIT}, which says what its training left aside.",
            hint="Measure all images: --split all",
        )
    files: list[dict[str, str]] = RunFolder(path).split()["files"]
    return files


def file_logits(model: Predictor, paths: Sequence[Path], hears: Listener, stage: str) -> Any:  # noqa: ANN401 - a tensor
    """Logits `[N, C]` of files that all can be read.

    Raises:
        BadData: some cannot; all are named.
    """
    images = decoded(paths, model.preprocess)
    if images.problems:
        raise unreadable(images.problems)
    hears.begin(stage, len(paths), "images")
    try:
        return model.logits(images.pixels, hears.advance)
    finally:
        hears.end()
        images.close()
