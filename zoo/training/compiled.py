"""A backbone, compiled for the batches that a phase trains it on.

Only training goes through what is compiled: its kernels round otherwise than those of torch, and a
validation figure must be what the finished model, which is never compiled, gives again.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import torch

from zoo import compiling
from zoo.errors import Unavailable
from zoo.training.device import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from zoo.phases import PhasePlan
    from zoo.training.device import Device
    from zoo.training.session import Session


class Compiled:
    """Images `[M, 3, H, W]` → features `[M, D]`, compiled for one M alone.

    An epoch's last batch, of another size, goes through the backbone as it is: to compile once
    more would take longer than all epochs' last batches do.
    """

    def __init__(self, backbone: nn.Module, shape: tuple[int, int, int, int]) -> None:
        """Compile when it is first called, into one graph: what fails has not run in part."""
        self._backbone = backbone
        self._shape = shape
        self._quick = torch.compile(backbone, fullgraph=True, dynamic=False)

    def __call__(self, images: Tensor) -> Tensor:
        """Features of a batch."""
        usual = images.shape == self._shape
        found: Tensor = (self._quick if usual else self._backbone)(images)
        return found


def compiled(
    backbone: nn.Module, shape: tuple[int, int, int, int], device: Device
) -> Callable[[Tensor], Tensor]:
    """The backbone, compiled and tried on a batch of nothing, forwards and backwards.

    Args:
        backbone: in the mode in which it will be trained; it is as before afterwards.
        shape: of a usual batch, `(M, 3, H, W)`.
        device: where it lives.

    Raises:
        Exception: whatever the compiler, or the backbone, has to say.
    """
    os.environ.setdefault(compiling.VARIABLE, str(compiling.place()))
    quick = Compiled(backbone, shape)
    # Statistics of BatchNorms and the like move with every batch.
    kept = [(buffer, buffer.clone()) for buffer in backbone.buffers()]
    blank = torch.zeros(shape, device=device.torch).contiguous(memory_format=device.memory_format)
    try:
        with device.autocast():
            features = quick(blank)
        features.float().sum().backward()  # type: ignore[no-untyped-call]
    finally:
        for buffer, value in kept:
            buffer.copy_(value)
        for parameter in backbone.parameters():
            parameter.grad = None
    return quick


def through(session: Session, phase: PhasePlan) -> Callable[[Tensor], Tensor] | None:
    """What a phase trains the backbone through: itself, compiled, or None where it is not.

    Where compiling fails, the listener hears why, and training is only slower.

    Raises:
        Unavailable: compiling fails, and the user insists on it.
    """
    if not phase.compile:
        return None
    plan, started = session.plan, time.perf_counter()
    session.listener.note("compile: compiling the backbone, which takes up to a minute")
    session.model.train()
    shape = phase.batch_size * plan.views, 3, *plan.preprocess.size
    try:
        found = compiled(session.model.backbone, shape, session.device)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        words = f"{type(error).__name__}: {error}".strip().split("\n")[0]
        what = f"{plan.backbone.title} cannot be compiled here: {words}"
        if plan["compile"] == "on":
            hint = "Use --set compile=off; on a CPU, compiling needs a C++ compiler."
            raise Unavailable(f"compile=on: {what}", hint=hint) from error
        session.listener.note(f"compile: {what}; it is trained as it is")
        return None
    finally:
        session.timed("compile", started)
    compiling.remember(compiling.key(plan, phase))
    return found
