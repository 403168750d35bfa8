"""Writes a run to TensorBoard's event files, in `trackers/tensorboard` of its folder.

`tensorboard --logdir runs` shows every run below. The step is the number of the epoch in the run,
from 1 on over all phases.
"""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import zoo
from zoo_trackers import figures

if TYPE_CHECKING:
    from pathlib import Path

    from torch.utils.tensorboard import SummaryWriter

#: run folder → its writer and the number of its last epoch
_open: dict[Path, tuple[SummaryWriter, int]] = {}


@zoo.hookimpl
def zoo_run_start(event: zoo.RunStart) -> None:
    """Begin to write, or go on after the last epoch on record."""
    from torch.utils.tensorboard import SummaryWriter

    done = figures.epochs_before(event.folder)
    # What a killed run wrote after its checkpoint comes again: TensorBoard then drops the first. Of
    # one that had no checkpoint yet that is all, the plan too, which is of step 0.
    place = event.folder / figures.FOLDER / "tensorboard"
    writer = SummaryWriter(str(place), purge_step=done + 1 if done else 0)
    if not done:
        told = json.dumps(figures.settings(event.plan), indent=1)
        writer.add_text("plan", f"```json\n{told}\n```", 0)
    _open[event.folder] = (writer, done)


@zoo.hookimpl
def zoo_epoch_end(event: zoo.EpochEnd) -> None:
    """Write the figures of an epoch."""
    if event.folder not in _open:  # it could not begin, which was told then
        return
    writer, done = _open[event.folder]
    _open[event.folder] = (writer, done + 1)
    for name, value in figures.of_epoch(event.record).items():
        writer.add_scalar(name, value, done + 1)


@zoo.hookimpl
def zoo_run_end(event: zoo.RunEnd) -> None:
    """Write the finished model's figures, and close the file."""
    if event.folder not in _open:
        return
    writer, done = _open.pop(event.folder)
    with closing(writer):
        for name, value in figures.of_end(event.summary or {}).items():
            writer.add_scalar(name, value, done)
