"""The process that has imported torch, and forks a child for each plugin (`zoo.testing.forking`).

`python -m zoo.testing.hot.server`: each order is one of `zoo.testing.hot.work`.
"""

from __future__ import annotations

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from zoo.testing import forking
from zoo.testing.hot import work


def _warm_up() -> None:
    """Have torch load what it loads at first use: once here, and not in every child."""
    torch.set_num_threads(1)  # tiny tensors; and a child of a process with threads may hang
    with torch.device("meta"):
        torch.nn.Linear(2, 2)(torch.empty(1, 2))
    with FakeTensorMode():
        torch.empty(1, device="cuda").add_(1)


if __name__ == "__main__":
    _warm_up()
    forking.serve(work.carry_out)
