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
from zoo.testing.outcomes import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
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

#: what a library that is imported and started at first use may bring with it
_OF_LIBRARIES = ("the running threads", "the environment", "the warning filters")
#: files of a run folder that are the engine's to write
FILES = {
    "plan.json": "{}",
    "classes.json": '["ant", "bee"]',
    "split.json": "{}",
    "metrics.jsonl": '{"phase": "probe", "epoch": 1}\n',
}
#: likewise, of a run that ended well
LAST_FILES = {"summary.json": "{}", "report.html": "<html></html>", "model/model.json": "{}"}


def record(epoch: int) -> dict[str, Any]:
    """A line of metrics.jsonl; the second epoch's is that of a run without a validation part."""
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


def observers(module: str, folder: Path) -> None:
    """Two runs, one that ends well and one that fails, as the engine tells of them.

    Raises:
        Fault: it cannot be imported, a hook raises, changes what it is told, the process, or a file
            of the run's own.
    """
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    manager.register(import_module(module))
    if not any(getattr(manager.hook, hook).get_hookimpls() for hook in hooks.OBSERVING):
        raise Fault(f"{module} observes nothing: it has none of {', '.join(hooks.OBSERVING)}")
    before = state.snapshot()
    for number, summary in enumerate((SUMMARY, None)):
        run = folder / f"{module}-{number}"
        (run / "model").mkdir(parents=True)
        files = FILES | (LAST_FILES if summary else {})
        own = {run / name: text for name, text in files.items()}
        for file, text in own.items():
            file.write_text(text)
        for hook, event in _events(run, summary):
            told = copy.deepcopy(event)
            try:
                getattr(manager.hook, hook)(event=event)
            except (Exception, SystemExit) as error:
                raise Fault(f"{hook} raises {type(error).__name__}: {error}") from error
            if event != told:
                raise Fault(f"{hook} changes the event that it is given")
        for file, text in own.items():
            if not file.exists() or file.read_text() != text:
                raise Fault(f"it changes {file.name}, which is the run's own")
    changed = [
        words
        for words in state.changes(before, state.snapshot())
        if not words.startswith(_OF_LIBRARIES)
    ]
    if changed:
        raise Fault(changed[0])


def _events(run: Path, summary: dict[str, Any] | None) -> Iterator[tuple[str, object]]:
    yield "zoo_run_start", hooks.RunStart(run, copy.deepcopy(PLAN))
    for epoch in (1, 2):
        yield "zoo_epoch_end", hooks.EpochEnd(run, record(epoch))
    status = "finished" if summary else "failed"
    yield "zoo_run_end", hooks.RunEnd(run, status, copy.deepcopy(summary))
