"""How the process of the command `zoo` ends."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process as `sys.exit` does, but for taking apart every module first.

    With torch imported that takes some 0.8 s of work for nothing. What counts is done: whoever
    asked to be called at the end is, and the streams are flushed. Where a thread still has to be
    waited for, or a stream cannot be written, Python ends the process in its own way.

    Args:
        code: the exit code.
    """
    others = (thread for thread in threading.enumerate() if thread is not threading.main_thread())
    if any(not thread.daemon for thread in others):
        sys.exit(code)
    atexit._run_exitfuncs()  # noqa: SLF001 - whose functions are then forgotten, so none runs twice
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # it was closed
                stream.flush()
    except (OSError, ValueError):
        sys.exit(code)
    os._exit(code)
