"""The standard streams, so that losing one loses no run."""

from __future__ import annotations

import io
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator


class Expendable(io.TextIOBase):
    """A stream that swallows everything once its other end is gone or full.

    What goes to standard error is for whoever looks; `zoo run ... 2>&1 | head -1`, a terminal that
    was closed and a log on a full disk must not end hours of training.

    Args:
        stream: to write to while it lasts.
    """

    def __init__(self, stream: TextIO) -> None:
        """Write nothing yet."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or swallow."""
        try:
            return self._stream.write(text)
        except OSError:
            silence(self._stream)
            return len(text)

    def flush(self) -> None:
        """Flush, or swallow."""
        try:
            self._stream.flush()
        except OSError:
            silence(self._stream)

    def fileno(self) -> int:
        """The stream's own."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """The stream's own."""
        return self._stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[bad-override]  # the base's is to be read only, too
        """The stream's own."""
        return self._stream.encoding


@contextmanager
def standing() -> Iterator[None]:
    """For as long as the block lasts, streams that are closed lead nowhere, and stderr may be lost.

    Without it, the first file that is opened would get a closed stream's number, and be written to
    by whatever prints.
    """
    with suppress(OSError):  # no more can be opened: none of the three is closed
        while (nowhere := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - as many are there
            pass
        os.close(nowhere)
    out, err = sys.stdout, sys.stderr
    # Python has None for a stream that was closed, whatever its type says.
    sys.stdout = out or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - stays open
    sys.stderr = Expendable(err or sys.stdout)  # type: ignore[assignment]  # all that is used of it
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


def silence(stream: TextIO) -> None:
    """Let a stream that cannot be written lead nowhere, or Python would complain at exit."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
