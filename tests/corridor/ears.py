"""Listeners of the corridor's tests, and what they look at."""

from __future__ import annotations

import hashlib
import json
import signal
from typing import TYPE_CHECKING, Any

from zoo.progress import Silent

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.history import EpochRecord

Train = Any  # a fixture that trains
Draw = Any  # a fixture that draws pictures


class Ear(Silent):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.stages: list[str] = []
        self.records: list[EpochRecord] = []
        self.open = 0

    def note(self, line: str) -> None:
        self.notes.append(line)

    def begin(self, stage: str, total: int, unit: str) -> None:
        self.open = 1
        self.stages.append(f"{stage} {total} {unit}")

    def end(self) -> None:
        self.open = 0

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        del epochs
        self.records.append(record)


def read(path: Path) -> Any:  # noqa: ANN401 - JSON
    return json.loads(path.read_text())


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder and the hash of its bytes, names and times of folders too."""
    return {
        str(path.relative_to(folder)): f"{path.stat().st_mtime_ns} "
        + (hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
        for path in sorted(folder.rglob("*"))
    }


class Halt(Ear):
    """Asks to stop after the n-th step whose loss is told."""

    def __init__(self, at: int = 2) -> None:
        super().__init__()
        self.at = at

    def advance(self, count: int, *, loss: float | None = None) -> None:
        del count
        self.at -= loss is not None
        if self.at == 0:
            signal.raise_signal(signal.SIGTERM)


class Interrupt(Ear):
    """Sends a signal at the n-th decoded picture."""

    def __init__(self, number: signal.Signals, at: int = 1) -> None:
        super().__init__()
        self.number, self.at = number, at

    def advance(self, count: int, *, loss: float | None = None) -> None:
        del count, loss
        self.at -= 1
        if self.at == 0:
            signal.raise_signal(self.number)
