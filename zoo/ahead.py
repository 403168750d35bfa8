"""Work that a thread does ahead of the time when it is asked for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: how often whoever waits is told how far it is, seconds
_BETWEEN_LOOKS = 0.1


class _NotWantedError(Exception):
    """Nobody will ask for the result any more."""


class Ahead(Generic[T]):
    """Begins at once.

    Args:
        work: what to do; it is given a function to call with (done, total) now and then, which
            raises when the result is not wanted any more.
    """

    def __init__(self, work: Callable[[Callable[[int, int], None]], T]) -> None:
        """Start the thread."""
        self.done = 0
        self._work = work
        self._wanted = True
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self, progress: Callable[[int], None]) -> T:
        """Wait for what the work gives, or raise what it raised.

        Args:
            progress: called with how much is done, several times a second; may raise to give up.
        """
        while self._thread.is_alive():
            progress(self.done)
            self._thread.join(_BETWEEN_LOOKS)
        progress(self.done)
        if self._error:
            raise self._error
        return self._found.pop()

    def give_up(self) -> T | None:
        """Let it end as soon as it can, and wait for that; what it gives if nobody had it yet."""
        self._wanted = False
        self._thread.join()
        return self._found.pop() if self._found else None

    def _run(self) -> None:
        try:
            self._found.append(self._work(self._note))
        except BaseException as error:  # noqa: BLE001 - handed to whoever asks for the result
            self._error = error

    def _note(self, done: int, total: int) -> None:
        del total
        self.done = done
        if not self._wanted:
            raise _NotWantedError
