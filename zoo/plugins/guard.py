"""What a plugin's code must leave as it was: it runs in the process of the user's run."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGPIPE")
    if hasattr(signal, name)
]


@contextmanager
def undisturbed(*, torch_random: bool = True) -> Iterator[None]:
    """Put back what the block changes of the process.

    That is the working directory, signal handlers, warning filters and the global random states of
    Python, numpy and torch (of those that are imported). What it changes inside other libraries
    stays changed.

    Args:
        torch_random: torch's state too; not where a module is built, which draws from it by right.
    """
    folder = _folder()
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    states = _random_states(torch_random=torch_random)
    try:
        with warnings.catch_warnings():
            yield
    finally:
        with suppress(OSError):  # it may be gone
            os.chdir(folder or ".")
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                if handler is not None and signal.getsignal(number) != handler:
                    signal.signal(number, handler)
        for restore, state in states:
            restore(state)


def _folder() -> str:
    """The working directory; empty when it is gone."""
    try:
        return os.getcwd()  # noqa: PTH109 - as the system says it
    except OSError:
        return ""


def _random_states(*, torch_random: bool) -> list[tuple[Any, Any]]:
    """(setter, state) of each global generator; no library is imported for it."""
    states: list[tuple[Any, Any]] = [(random.setstate, random.getstate())]
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and hasattr(numpy, "random"):
        states.append((numpy.random.set_state, numpy.random.get_state()))
    if torch_random and torch is not None and hasattr(torch, "random"):
        states.append((torch.random.set_rng_state, torch.random.get_rng_state()))
    return states
