"""Stopping in good order: the first signal asks, the second insists."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zoo.errors import INTERRUPTED, TERMINATED, Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}


class Stop:
    """Whether somebody asked to stop, and by which signal."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self.signal: signal.Signals | None = None

    def check(self) -> None:
        """Stop here if somebody asked; called where nothing is half done.

        Raises:
            Stopped: somebody did.
        """
        if self.signal is not None:
            stopped = Stopped(f"Stopped by {self.signal.name}.")
            stopped.exit_code = _CODES[self.signal]
            raise stopped


@contextmanager
def listening() -> Iterator[Stop]:
    """Listen to SIGINT and SIGTERM: the first is left to `Stop.check`, the second ends at once.

    Outside the main thread, where signals cannot be caught, nothing is ever asked.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        if stop.signal is not None:
            os._exit(_CODES[signal.Signals(number)])
        stop.signal = signal.Signals(number)

    old = {number: signal.signal(number, on_signal) for number in _CODES}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
