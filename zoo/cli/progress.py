"""Progress on a terminal: rich bars with loss, accuracy, rate and time left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from zoo import encoding
from zoo.progress import Lines, Silent

if TYPE_CHECKING:
    from zoo.history import EpochRecord
    from zoo.progress import Listener

_SMOOTHING = 0.98


class Bars(Silent):
    """One bar per stage, on standard error, so that standard output stays the result's."""

    def __init__(self, console: Console | None = None) -> None:
        """Nothing is shown until the first stage begins."""
        self.console = console or Console(stderr=True)
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._loss: float | None = None
        self._figures = ""

    def note(self, line: str) -> None:
        """See `Listener`."""
        shown = self._progress.console if self._progress else self.console
        shown.print(Text(encoding.terminal(line)), soft_wrap=True)

    def begin(self, stage: str, total: int, unit: str) -> None:
        """See `Listener`."""
        self.end()
        self._progress = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[figures]}", markup=False),  # a plugin names the terms
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            expand=True,
        )
        self._progress.start()
        self._unit, self._loss, self._figures = unit, None, ""
        self._task = self._progress.add_task(stage, total=total or None, figures="", rate="")

    def advance(self, count: int, *, loss: float | None = None) -> None:
        """See `Listener`."""
        if self._progress is None or self._task is None:
            return
        if loss is not None:
            old = loss if self._loss is None else self._loss
            self._loss = _SMOOTHING * old + (1 - _SMOOTHING) * loss
        task = self._progress.tasks[0]
        speed = f"{task.speed:,.0f} {self._unit}/s" if task.speed else ""
        shown = "" if self._loss is None else f"loss {self._loss:.3f}"
        self._progress.update(
            self._task, advance=count, rate=speed, figures=f"{shown} {self._figures}".strip()
        )

    def end(self) -> None:
        """See `Listener`."""
        if self._progress is not None:
            self._progress.stop()
        self._progress, self._task = None, None

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        """See `Listener`."""
        if record.phase == "full":
            self._figures = "" if record.top1 is None else f"val top-1 {record.top1:.4f}"
            return
        if self._task is None:
            self.begin(record.phase, epochs, "epochs")
        figure = "" if record.top1 is None else f"val top-1 {record.top1:.4f}"
        terms = encoding.line(" ".join(f"{name} {one:.3f}" for name, one in record.terms.items()))
        assert self._progress is not None  # noqa: S101 - begun above
        assert self._task is not None  # noqa: S101 - begun above
        rate = f"{record.images_per_second:,.0f} images/s"
        self._progress.update(
            self._task,
            completed=record.epoch,
            rate=rate,
            figures=f"loss {record.loss:.3f} ({terms}) {figure}",
        )
        if record.epoch == epochs:
            self.end()


def listener() -> Listener:
    """Bars where a person looks, plain lines where a log is written."""
    console = Console(stderr=True)
    return Bars(console) if console.is_terminal and not console.is_dumb_terminal else Lines()
