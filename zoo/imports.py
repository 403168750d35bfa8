"""Importing libraries of many thousand objects without Python looking through them over and over.

Python's collector of cycles is set off by new objects, and an import of torch makes a million that
stay: it finds nothing to free in them, for a quarter of the import's time. That time comes again
in every later pass over all objects, and at the end, when each is taken apart.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ours = False


def process_is_ours() -> None:
    """From now on, what is there after an import stays out of the collector's sight for good.

    That is for a program which imports what it needs, works and ends. In somebody else's process it
    would keep for ever what they made before, if it is part of a cycle.
    """
    global _ours  # noqa: PLW0603 - it is a fact of the process
    _ours = True


@contextmanager
def uncollected() -> Iterator[None]:
    """Import within the block: the collector waits until it is over."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if _ours:
            gc.freeze()
        if was:
            gc.enable()
