"""What a run says while it works, to whoever listens: a terminal, a log, or nobody."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol

from zoo import encoding

if TYPE_CHECKING:
    from zoo.history import EpochRecord


#: of a stage's lines, seconds
_BETWEEN_LINES = 10.0
_MINUTE, _HOUR = 60.0, 3600.0


class Listener(Protocol):
    """Hears of stages (something counted) and of epochs and notes (something said)."""

    def note(self, line: str) -> None:
        """Something that a reader should know, once."""

    def begin(self, stage: str, total: int, unit: str) -> None:
        """A counted stage begins, such as 800 `images`."""

    def advance(self, count: int, *, loss: float | None = None) -> None:
        """So many more of the running stage are done."""

    def end(self) -> None:
        """The running stage is over."""

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        """An epoch is over, of so many."""


class Silent:
    """Says nothing."""

    def note(self, line: str) -> None:
        """See `Listener`."""

    def begin(self, stage: str, total: int, unit: str) -> None:
        """See `Listener`."""

    def advance(self, count: int, *, loss: float | None = None) -> None:
        """See `Listener`."""

    def end(self) -> None:
        """See `Listener`."""

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        """See `Listener`."""


class Lines(Silent):
    """Plain lines on standard error, for logs and pipes.

    At most one a second tells of epochs, and in a long stage one every ten seconds how far it is.
    """

    def __init__(self) -> None:
        """Nothing has been said yet."""
        self._said = self._told = 0.0
        self._stage, self._unit, self._total, self._done, self._begun = "", "", 0, 0, 0.0

    def note(self, line: str) -> None:
        """See `Listener`."""
        print(encoding.terminal(line), file=sys.stderr, flush=True)  # noqa: T201 - this is where lines come out

    def begin(self, stage: str, total: int, unit: str) -> None:
        """See `Listener`."""
        self._stage, self._unit, self._total, self._done = stage, unit, total, 0
        self._begun = self._told = time.monotonic()

    def advance(self, count: int, *, loss: float | None = None) -> None:
        """See `Listener`."""
        del loss
        self._done += count
        now = time.monotonic()
        if self._total and now - self._told >= _BETWEEN_LINES:
            self._told = now
            rate = self._done / (now - self._begun)
            left = duration((self._total - self._done) / rate) if rate else "unknown time"
            done = f"{self._done} of {self._total} {self._unit}"
            self.note(f"{self._stage}: {done}, {rate:.0f}/s, {left} left")

    def end(self) -> None:
        """See `Listener`."""
        seconds = time.monotonic() - self._begun
        if self._total:
            rate = self._done / max(seconds, 1e-9)
            self.note(f"{self._stage}: {self._done} {self._unit}, {seconds:.1f} s, {rate:.0f}/s")
        self._total = 0

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        """See `Listener`."""
        now = time.monotonic()
        if now - self._said >= 1 or record.epoch == epochs:
            self._said = now
            self.note(describe(record, epochs))


def duration(seconds: float) -> str:
    """Roughly how long: `40 s`, `12 min`, `2.5 h`."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.1f} h"


def describe(record: EpochRecord, epochs: int) -> str:
    """One epoch in one line: loss and its terms, accuracy, speed."""
    terms = " ".join(f"{name} {value:.3f}" for name, value in record.terms.items())
    figures = ""
    if record.top1 is not None and record.macro_f1 is not None:
        figures = f"  val top-1 {record.top1:.4f}  macro F1 {record.macro_f1:.4f}"
    return (
        f"{record.phase} {record.epoch}/{epochs}  loss {record.loss:.4f} ({terms}){figures}"
        f"  {record.images_per_second:.0f} images/s"
    )
