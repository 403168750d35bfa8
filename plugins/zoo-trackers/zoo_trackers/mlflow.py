"""Writes a run to MLflow: settings as parameters, epochs' figures as metrics, a report as artefact.

The store is the one that MLFLOW_TRACKING_URI names; without it, the SQLite file `mlflow.db` beside
the run's folder, with artefacts in `mlartifacts`: `mlflow ui --backend-store-uri
sqlite:///runs/mlflow.db` shows all runs below `runs`. The experiment is MLFLOW_EXPERIMENT_NAME, or
`zoo`. The step is the number of the epoch in the run, from 1 on over all phases. A resumed run goes
on in the MLflow run that it began. However a run ends, and whatever of it could not be written,
MLflow is told that it ended.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zoo
from zoo_trackers import figures
from zoo_trackers.spelling import spelt

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow.entities import Experiment
    from mlflow.tracking import MlflowClient

#: which MLflow run belongs to a run's folder
RECORD = "mlflow.json"
STORE, ARTIFACTS, EXPERIMENT = "mlflow.db", "mlartifacts", "zoo"
#: what MLflow calls zoo's ends
STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
#: MLflow's limit of a parameter's value, characters, and of metrics in a call
MOST, BATCH = 6000, 1000


@dataclass(slots=True)
class Tracked:
    """A run that is being written.

    Args:
        client: of its store.
        run: MLflow's id of it.
        epoch: number of the last epoch that was told.
        known: number of the last epoch that the store has.
    """

    client: MlflowClient
    run: str
    epoch: int
    known: int


_open: dict[Path, Tracked] = {}


@zoo.hookimpl
def zoo_run_start(event: zoo.RunStart) -> None:
    """Begin an MLflow run, or go on with the one that the run began before."""
    from mlflow.tracking import MlflowClient

    record = event.folder / figures.FOLDER / RECORD
    known = json.loads(record.read_text("utf-8")) if record.exists() else None
    store = known["store"] if known else _store(event.folder)
    client = MlflowClient(store)
    done = figures.epochs_before(event.folder)
    if known:
        run = known["run"]
        client.update_run(run, status="RUNNING")
    else:
        experiment = _experiment(client, event.folder)
        run = client.create_run(experiment, run_name=event.folder.name).info.run_id
    try:
        if not known:
            record.parent.mkdir(exist_ok=True)
            record.write_text(json.dumps({"store": store, "run": run}), "utf-8")
            for name, value in figures.settings(event.plan).items():
                client.log_param(run, spelt(name), value[:MOST])
        _open[event.folder] = Tracked(client, run, done, _last_epoch(client, run))
    except BaseException:
        client.set_terminated(run, "FAILED")
        raise


@zoo.hookimpl
def zoo_epoch_end(event: zoo.EpochEnd) -> None:
    """Write the figures of an epoch, unless a run that was killed has written the same before."""
    tracked = _open.get(event.folder)
    if tracked is None:  # it could not begin, which was told then
        return
    tracked.epoch += 1
    if tracked.epoch > tracked.known:
        _write(tracked, figures.of_epoch(event.record))


@zoo.hookimpl
def zoo_run_end(event: zoo.RunEnd) -> None:
    """Write the finished model's figures and the report, and how the run ended."""
    tracked = _open.pop(event.folder, None)
    if tracked is None:
        return
    try:
        if event.summary is not None:
            _write(tracked, figures.of_end(event.summary))
            for name in ("summary.json", "report.html"):
                tracked.client.log_artifact(tracked.run, str(event.folder / name))
    finally:
        tracked.client.set_terminated(tracked.run, STATUS.get(event.status, "FAILED"))


def _store(folder: Path) -> str:
    told = os.environ.get("MLFLOW_TRACKING_URI")
    return told or f"sqlite:///{(folder.parent / STORE).resolve()}"


def _experiment(client: MlflowClient, folder: Path) -> str:
    """The id of the experiment, which is made where it is not there yet."""
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    found: Experiment | None = client.get_experiment_by_name(name)
    if found is not None:
        return found.experiment_id
    ours = None
    if not os.environ.get("MLFLOW_TRACKING_URI"):  # else MLflow would keep them where one stands
        ours = (folder.parent / ARTIFACTS).resolve().as_uri()
    return client.create_experiment(name, artifact_location=ours)


def _last_epoch(client: MlflowClient, run: str) -> int:
    """The number of the last epoch of which the store has the figures."""
    names = [name for name in client.get_run(run).data.metrics if name.endswith("/loss")]
    steps = [one.step for name in names for one in client.get_metric_history(run, name)]
    return max(steps, default=0)


def _write(tracked: Tracked, values: dict[str, float]) -> None:
    from mlflow.entities import Metric

    now = int(1000 * time.time())
    metrics = [Metric(spelt(name), value, now, tracked.epoch) for name, value in values.items()]
    for first in range(0, len(metrics), BATCH):
        tracked.client.log_batch(tracked.run, metrics=metrics[first : first + BATCH])
