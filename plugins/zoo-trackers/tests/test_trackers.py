"""Runs that are watched for real, and their stores read back with the tools' own readers."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from zoo_trackers import figures, mlflow, tensorboard

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
def test_an_epoch_that_a_kill_lost_is_kept_once(tracker: Any, tmp_path: Path) -> None:  # noqa: ANN401
    folder = tmp_path / "run"
    folder.mkdir()
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


def test_mlflow_calls_a_stopped_run_killed_and_a_failed_one_failed(tmp_path: Path) -> None:
    for status, theirs in (("stopped", "KILLED"), ("failed", "FAILED")):
        folder = tmp_path / status
        folder.mkdir()
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
