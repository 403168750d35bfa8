"""Runs that are watched for real, and their stores read back with the tools' own readers."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.tracking import MlflowClient
from mlflow.utils.validation import _validate_metric_name
from tensorboard.backend.event_processing import plugin_event_accumulator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from zoo_trackers import figures, mlflow, tensorboard
from zoo_trackers.spelling import spelt

import zoo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy:DeprecationWarning"  # MLflow's, of its SQLAlchemy
)
SETTINGS = {"train": "lpft", "epochs": 2, "seed": 0, "image_size": 32, "probe.solver": "epochs"}
TRACKERS = ("trackers/tensorboard", "trackers/mlflow")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> zoo.corridor.Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
        return zoo.run(
            "efficientnet-lite/lite0+linear+cekl",
            "demo",
            out=tmp_path_factory.mktemp("runs") / "run",
            observe=TRACKERS,
            settings=SETTINGS,
        )


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def expected(run: zoo.corridor.Run) -> dict[str, list[tuple[int, float]]]:
    """Name → (step, value) of everything that a tracker must hold."""
    held: dict[str, list[tuple[int, float]]] = {}
    rows = records(run.folder)
    for number, record in enumerate(rows, 1):
        for name, value in figures.of_epoch(record).items():
            held.setdefault(name, []).append((number, value))
    for name, value in figures.of_end(run.summary).items():
        held[name] = [(len(rows), value)]
    return held


def board(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder / "trackers" / "tensorboard")).Reload()
    tags: Any = events.Tags()["scalars"]
    return {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in tags}


def store(folder: Path) -> tuple[MlflowClient, Any]:
    record = json.loads((folder / "trackers" / "mlflow.json").read_text())
    client = MlflowClient(record["store"])
    return client, client.get_run(record["run"])


def logged(folder: Path) -> dict[str, list[tuple[int, float]]]:
    client, found = store(folder)
    return {
        name: [(one.step, one.value) for one in client.get_metric_history(found.info.run_id, name)]
        for name in found.data.metrics
    }


def test_the_plugin_is_listed_without_its_libraries() -> None:
    code = (
        "import sys, zoo_trackers; assert not {'mlflow', 'tensorboard', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_both_hold_every_figure_of_every_epoch_and_of_the_end(run: zoo.corridor.Run) -> None:
    held = expected(run)
    assert {"probe/loss", "full/terms/kl", "full/top1", "final/val/top1"} <= set(held)
    assert logged(run.folder) == held
    shown = board(run.folder)
    assert shown.keys() == held.keys()
    for name, values in held.items():  # TensorBoard keeps float32
        assert shown[name] == [(step, pytest.approx(value, rel=1e-6)) for step, value in values]


def test_mlflow_holds_the_settings_the_report_and_the_end(run: zoo.corridor.Run) -> None:
    client, found = store(run.folder)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == run.folder.name
    assert found.data.params["spec"] == run.summary["spec"]
    assert found.data.params["image_size"] == "32"
    artefacts = {one.path for one in client.list_artifacts(found.info.run_id)}
    assert artefacts == {"report.html", "summary.json"}
    assert client.get_experiment(found.info.experiment_id).name == "zoo"
    assert (run.folder.parent / "mlflow.db").exists()


def test_a_watched_run_is_still_vouched_for(run: zoo.corridor.Run) -> None:
    assert zoo.load(run.folder).classes


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where runs lie beside each other: to make MLflow's database takes seconds."""
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture
def folder(shelf: Path, tmp_path: Path) -> Path:
    """An empty run folder."""
    found = shelf / tmp_path.name
    found.mkdir()
    return found


def event(folder: Path) -> zoo.RunStart:
    return zoo.RunStart(folder, {"spec": "a+b+c", "settings": {"seed": {"value": 3}}})


def line(epoch: int) -> dict[str, Any]:
    return {"phase": "probe", "epoch": epoch, "loss": 1 / epoch, "terms": {"ce": 2.0}}


def told(tracker: Any, folder: Path, epochs: list[int]) -> None:  # noqa: ANN401 - a module
    """What the engine does: a line into metrics.jsonl, then the event."""
    for epoch in epochs:
        with (folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(line(epoch)) + "\n")
        tracker.zoo_epoch_end(zoo.EpochEnd(folder, line(epoch)))


@pytest.mark.parametrize("tracker", [mlflow, tensorboard], ids=["mlflow", "tensorboard"])
def test_an_epoch_that_a_kill_lost_is_kept_once(tracker: Any, folder: Path) -> None:  # noqa: ANN401
    tracker.zoo_run_start(event(folder))
    told(tracker, folder, [1, 2, 3])
    tracker.zoo_run_end(zoo.RunEnd(folder, "stopped", None))
    kept = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)[:2]
    (folder / "metrics.jsonl").write_text("".join(kept))  # the checkpoint was made after the second
    tracker.zoo_run_start(event(folder))
    told(tracker, folder, [3, 4])
    tracker.zoo_run_end(zoo.RunEnd(folder, "stopped", None))
    found = (board if tracker is tensorboard else logged)(folder)["probe/loss"]
    assert found == [(epoch, pytest.approx(1 / epoch)) for epoch in (1, 2, 3, 4)]


@pytest.mark.parametrize("tracker", [mlflow, tensorboard], ids=["mlflow", "tensorboard"])
def test_a_run_that_was_killed_before_its_first_checkpoint_is_kept_once(
    tracker: Any,  # noqa: ANN401
    folder: Path,
) -> None:
    tracker.zoo_run_start(event(folder))
    told(tracker, folder, [1, 2])
    gone = tracker._open.pop(folder)  # noqa: SLF001 - what a kill takes with it
    if tracker is tensorboard:
        gone[0].close()  # what was on the disk by then
    (folder / "metrics.jsonl").write_text("")
    tracker.zoo_run_start(event(folder))
    told(tracker, folder, [1, 2, 3])
    tracker.zoo_run_end(zoo.RunEnd(folder, "stopped", None))
    found = (board if tracker is tensorboard else logged)(folder)["probe/loss"]
    assert found == [(epoch, pytest.approx(1 / epoch)) for epoch in (1, 2, 3)]
    if tracker is tensorboard:
        place = folder / "trackers" / "tensorboard"
        assert len([*place.iterdir()]) == 2
        shown = plugin_event_accumulator.EventAccumulator(str(place)).Reload()  # its pages' reader
        assert [len(shown.Tensors(tag)) for tag in ("plan/text_summary", "probe/loss")] == [1, 3]


NAMES = (
    "a%b", "café (1)", "cafe\u0301", "a:b", "a:25:b", "a/b", "a//b", "/a", "a/", "..", ".", "..b",
    "a/../b", "a\n", "a", "A", "漢字", "\udcff", "a b", "a_b-c.d", "x" * 300, "x" * 301, "(" * 90,
    "",
)  # fmt: skip


def test_classes_of_any_name_are_told_apart_in_mlflow(folder: Path) -> None:
    mlflow.zoo_run_start(event(folder))
    classes = {name: {"f1": number / 100} for number, name in enumerate(NAMES)}
    record = {**line(1), "per_class": classes}
    mlflow.zoo_epoch_end(zoo.EpochEnd(folder, record))
    mlflow.zoo_run_end(zoo.RunEnd(folder, "stopped", None))
    found = logged(folder)
    assert len({spelt(name) for name in NAMES}) == len(NAMES)
    for name, values in classes.items():
        assert found[spelt(f"probe/per_class/{name}/f1")] == [(1, values["f1"])]
    assert {"probe/loss", "probe/terms/ce", "probe/per_class/a_b-c.d/f1"} <= found.keys()
    assert "probe/per_class/caf\u00e9 :28:1:29:/f1" in found
    assert store(folder)[1].info.status == "KILLED"


@given(st.text(max_size=12, alphabet="a:/.%2e5 é\n"), st.text(max_size=12, alphabet="a:/.%2e5 é\n"))
def test_no_two_names_are_spelt_alike_and_mlflow_takes_each(one: str, other: str) -> None:
    assert (spelt(one) == spelt(other)) == (one == other)
    _validate_metric_name(spelt(one))


def test_more_figures_than_mlflow_takes_at_once_are_all_written(folder: Path) -> None:
    mlflow.zoo_run_start(event(folder))
    classes = {f"class {number}": {"f1": 0.5} for number in range(1010)}
    mlflow.zoo_epoch_end(zoo.EpochEnd(folder, {**line(1), "per_class": classes}))
    mlflow.zoo_run_end(zoo.RunEnd(folder, "stopped", None))
    assert len(store(folder)[1].data.metrics) == 1010 + len(figures.of_epoch(line(1)))


@pytest.mark.parametrize("broken", ["log_batch", "log_artifact"])
@pytest.mark.parametrize(
    ("status", "theirs"), [("finished", "FINISHED"), ("stopped", "KILLED"), ("failed", "FAILED")]
)
def test_a_run_whose_figures_cannot_be_written_ends_in_mlflow_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, broken: str, status: str, theirs: str
) -> None:
    mlflow.zoo_run_start(event(folder))
    monkeypatch.setattr(MlflowClient, broken, refuse)
    summary = {"val": {"top1": 0.5}} if status == "finished" else None
    if broken == "log_batch":
        with pytest.raises(OSError, match="the disk is full"):
            mlflow.zoo_epoch_end(zoo.EpochEnd(folder, line(1)))
    with nullcontext() if summary is None else pytest.raises(OSError, match="the disk is full"):
        mlflow.zoo_run_end(zoo.RunEnd(folder, status, summary))
    assert store(folder)[1].info.status == theirs


def refuse(*_given: object, **_more: object) -> None:
    raise OSError("the disk is full")


def test_a_run_that_cannot_begin_in_mlflow_has_failed_there_and_says_so_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_param", refuse)
        with pytest.raises(OSError, match="the disk is full"):
            mlflow.zoo_run_start(event(folder))
    mlflow.zoo_epoch_end(zoo.EpochEnd(folder, line(1)))
    mlflow.zoo_run_end(zoo.RunEnd(folder, "finished", {"val": {"top1": 0.5}}))
    _, found = store(folder)
    assert found.info.status == "FAILED"
    assert found.data.metrics == {}


def test_mlflow_calls_a_stopped_run_killed_and_a_failed_one_failed(folder: Path) -> None:
    for status, theirs in (("stopped", "KILLED"), ("failed", "FAILED")):
        (folder / "trackers" / "mlflow.json").unlink(missing_ok=True)
        mlflow.zoo_run_start(event(folder))
        mlflow.zoo_run_end(zoo.RunEnd(folder, status, None))
        assert store(folder)[1].info.status == theirs


def test_the_users_store_and_experiment_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path / 'theirs.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "flowers")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "run"
    folder.mkdir(parents=True)
    mlflow.zoo_run_start(event(folder))
    mlflow.zoo_run_end(zoo.RunEnd(folder, "stopped", None))
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("flowers")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.data.params == {"spec": "a+b+c", "seed": "3"}
    assert not (folder.parent / "mlflow.db").exists()
