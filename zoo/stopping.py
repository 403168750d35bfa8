"""Stopping in good order: the first signal asks, the second insists."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from zoo.errors import HUNG_UP, INTERRUPTED, TERMINATED, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

#: what asks to stop (where the system has it), and the exit code then
_CODES = {
    number: code
    for name, code in (("SIGINT", INTERRUPTED), ("SIGTERM", TERMINATED), ("SIGHUP", HUNG_UP))
    if (number := getattr(signal, name, None)) is not None
}
#: what asks to save and go on
_SAVE = getattr(signal, "SIGUSR1", None)


class Stop:
    """Whether somebody asked to stop, and by which signal, or to save and go on."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self.signal: signal.Signals | None = None
        #: called with the exit code before a signal that insists ends the process
        self.before_exit: Callable[[int], None] | None = None
        self._save = False

    def check(self) -> None:
        """Stop here if somebody asked; called where nothing is half done.

        Raises:
            Stopped: somebody did.
        """
        if self.signal is not None:
            stopped = Stopped(f"Stopped by {self.signal.name}.")
            stopped.exit_code = _CODES[self.signal]
            raise stopped

    def wants_save(self) -> bool:
        """Whether somebody asked to save since the last time that this was called."""
        asked, self._save = self._save, False
        return asked

    def heard(self, number: int) -> None:
        """Note a signal; one that insists ends the process here and now."""
        if number == _SAVE:
            self._save = True
        elif self.signal is not None:
            code = _CODES[signal.Signals(number)]
            with suppress(BaseException):  # whatever it is, the process ends now
                if self.before_exit:
                    self.before_exit(code)
            os._exit(code)
        else:
            self.signal = signal.Signals(number)


@contextmanager
def listening() -> Iterator[Stop]:
    """Listen to SIGINT, SIGTERM and SIGHUP: `Stop.check` obeys the first, the second ends at once.

    SIGUSR1 asks for a checkpoint. A signal that the parent had ignored (`nohup`) stays ignored.
    Outside the main thread, where signals cannot be caught, nothing is ever asked.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        stop.heard(number)

    heeded = [number for number in (*_CODES, _SAVE) if number is not None]
    old = {
        number: signal.signal(number, on_signal)
        for number in heeded
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
