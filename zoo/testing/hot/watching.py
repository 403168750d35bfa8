"""Whether a plugin's observers can be told of a run."""

from __future__ import annotations

import copy
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pluggy

from zoo import hooks
from zoo.components import KINDS
from zoo.history import EpochRecord
from zoo.testing import state
from zoo.testing.hot.rig import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SPEC = "tiny/net+tiny/classifier+tiny/cross_entropy"
#: the parts of plan.json and summary.json that an observer may look for
PLAN: dict[str, Any] = {
    "schema": 1,
    "spec": SPEC,
    "entry": "",
    **{
        kind: {"name": name, "plugin": "zoo-tiny", "version": "1.0", "options": {}}
        for kind, name in zip(KINDS, SPEC.split("+"), strict=True)
    },
    "weights": {"mode": "none", "tag": "", "source": "", "sha256": "", "file": ""},
    "views": 1,
    "data": "images",
    "settings": {
        name: {"value": value, "origin": "default"}
        for name, value in {"epochs": 2, "seed": 0, "train": "probe", "lr": None}.items()
    },
    "phases": [{"name": "probe", "epochs": 2}],
    "counts": {"classes": ["ant", "bee"], "train": [4, 4], "val": 2, "test": 0},
    "device": {"name": "cpu"},
}
SUMMARY: dict[str, Any] = {
    "spec": SPEC,
    "entry": "",
    "status": "finished",
    "headline": "val",
    "val": {"top1": 0.75, "macro_f1": 0.7, "n": 4, "interval": [0.3, 0.95]},
    "test": None,
    "train": {"mode": "probe", "images": [4, 4]},
    "classes": ["ant", "bee"],
    "seconds": {"total": 1.0},
    "device": {"name": "cpu"},
}


def record(epoch: int) -> dict[str, Any]:
    """A line of metrics.jsonl; the second epoch's has no validation, as a run without such a part."""
    measured = 0.75 if epoch == 1 else None
    return EpochRecord(
        phase="probe",
        epoch=epoch,
        step=3 * epoch,
        loss=0.6,
        terms={"ce": 0.5, "kl": 0.1},
        top1=measured,
        macro_f1=measured,
        lr=0.001,
        images_per_second=100.0,
        seconds=0.1,
    ).to_json()


def observers(plugin: Mapping[str, Any], folder: Path) -> None:
    """Two runs, one that ends well and one that fails, as the engine tells of them.

    Raises:
        Fault: a hook raises, changes what it is told, the process, or the run's own files.
    """
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    before = state.snapshot()
    manager.register(import_module(plugin["module"]), name=plugin["namespace"])
    for number, summary in enumerate((SUMMARY, None)):
        run = folder / f"run-{number}"
        run.mkdir()
        own = run / "plan.json"
        own.write_text("{}")
        events = [
            ("zoo_run_start", hooks.RunStart(run, copy.deepcopy(PLAN))),
            *(("zoo_epoch_end", hooks.EpochEnd(run, record(epoch))) for epoch in (1, 2)),
            (
                "zoo_run_end",
                hooks.RunEnd(run, "finished" if summary else "failed", copy.deepcopy(summary)),
            ),
        ]
        for hook, event in events:
            told = copy.deepcopy(event)
            try:
                getattr(manager.hook, hook)(event=event)
            except (Exception, SystemExit) as error:
                raise Fault(f"{hook} raises {type(error).__name__}: {error}") from error
            if event != told:
                raise Fault(f"{hook} changes the event that it is given")
        if own.read_text() != "{}":
            raise Fault("it changes a file of the run's own")
    changed = [
        words
        for words in state.changes(before, state.snapshot())
        if not words.startswith(("the running threads", "the environment"))
    ]
    if changed:
        raise Fault(changed[0])
