"""A process that has imported what is heavy once, and forks a child for each order.

It reads orders from standard input, one JSON object a line, and answers each with two lines: the
child's process id, and later how it ended. So a whole museum of plugins costs one start of Python,
or one import of torch, and each plugin still gets a process in which nobody else's code ran.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def serve(work: Callable[[Mapping[str, Any]], object]) -> None:
    """Carry out orders until standard input ends.

    Args:
        work: takes an order, whose `output` is the file for what the child prints, and `cwd` the
            folder that it works in.
    """
    # What is there already is nobody's garbage: a child's collector looks at its own things alone.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork() if hasattr(os, "fork") else None
        if child == 0:
            _become(order["output"], order["cwd"])
            try:
                work(order)
            finally:
                os._exit(0)  # at once: threads and exit handlers that a plugin left may never end
        if child is None:  # no fork on this system: one order, then another server
            _say(os.getpid())
            work(order)
            _say(0)
            return
        _say(child)
        _, status = os.waitpid(child, 0)
        _say(os.waitstatus_to_exitcode(status))
    gc.unfreeze()  # else libraries complain at the end of what they had not got back


def _become(output: str, folder: str) -> None:
    """A process group of its own, in this folder, whose output goes into a file."""
    os.setsid()
    os.chdir(folder)
    with Path(output).open("ab") as stream:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()
