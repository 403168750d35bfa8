"""A process that has imported torch and forks a child for each piece of work.

`python -m zoo.testing.hot.server`: reads orders from standard input, one JSON object a line, and
answers each with two lines: the child's process id, and later how it ended. So a whole museum of
plugins costs one import of torch, and each plugin still gets a process in which nobody else's code
ran.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def serve() -> None:
    """Carry out orders until standard input ends."""
    import torch

    from zoo.testing.hot import work

    torch.set_num_threads(1)  # tiny tensors; and a child of a process with threads may hang
    _warm_up()
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork() if hasattr(os, "fork") else None
        if child == 0:
            _become(order["output"])
            try:
                work.carry_out(order)
            finally:
                os._exit(0)
        if child is None:  # no fork on this system: one order, then another server
            _say(os.getpid())
            work.carry_out(order)
            _say(0)
            return
        _say(child)
        _, status = os.waitpid(child, 0)
        _say(os.waitstatus_to_exitcode(status))


def _warm_up() -> None:
    """Have torch load what it loads at first use: once here, and not in every child."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    with torch.device("meta"):
        torch.nn.Linear(2, 2)(torch.empty(1, 2))
    with FakeTensorMode():
        torch.empty(1, device="cuda").add_(1)


def _become(output: str) -> None:
    """A process group of its own, whose output goes into a file."""
    os.setsid()
    with Path(output).open("ab") as stream:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
