"""The gradients of a step: of its whole batch at once, or where memory runs out of its pieces.

A loss is a mean over the batch's samples, each times its weight. So the batch's loss is the sum of
its pieces' losses, each times the piece's share of the samples, and gradients add up likewise.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from zoo.contracts import Batch
from zoo.data import draws
from zoo.training.assemble import loss_terms, total_loss
from zoo.training.memory import fitting
from zoo.training.model import trains_norms

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.training.fit import Task


class Gradients:
    """What makes the gradients of a task's steps.

    Args:
        task: whose `position.micro_batch` says how many samples go through at once (0: all), and is
            set where memory asks for fewer.
    """

    def __init__(self, task: Task) -> None:
        """Nothing has been computed."""
        self._task = task
        modules = [*task.learner.trained.modules(), *task.learner.loss.modules()]
        # To walk all modules in each step would take longer than to copy their buffers.
        self._holders = [module._buffers for module in modules if module._buffers]  # noqa: SLF001

    def of(self, samples: np.ndarray) -> dict[str, Tensor]:
        """Leave the gradients of a batch's loss behind; nothing here waits for a number.

        Returns:
            The loss's terms by name: means over the batch, float32 scalars on the device.

        Raises:
            OutOfMemory: there is none for the smallest piece either.
        """
        task = self._task
        learner, position = task.learner, task.position
        inputs = task.feed.batch(position.epoch, samples)
        # BatchNorm cannot train on one sample.
        least, why = min(2 if self._normed else 1, len(samples)), ""
        if learner.coupled:
            least = len(samples)
            why = ", and its loss compares the images of a batch, which is never taken in pieces"
        most = min(position.micro_batch or len(samples), len(samples))
        terms, fits = fitting(
            lambda size: self._attempt(samples, inputs, _cut(samples, size, least)),
            most,
            device=learner.device.torch,
            least=least,
            undo=self._buffers_kept(),
            why=why,
        )
        if fits < most:
            # A single sample that BatchNorm cannot train on is in a piece that is larger by one.
            fits = position.micro_batch = max(fits, len(_cut(samples, fits, least)[0]))
            task.note(
                f"memory: a batch of {len(samples)} images does not fit; from step {position.step} "
                f"of the {task.phase.name} phase on, at most {fits} go through at once, and their "
                "gradients are added up"
                + ("; BatchNorm sees these smaller batches" if self._normed else "")
            )
        return terms

    @cached_property
    def _normed(self) -> bool:
        return trains_norms(self._task.learner.trained)

    @torch.no_grad()
    def _buffers_kept(self) -> Callable[[], None]:
        """Copy all buffers, such as BatchNorm's statistics; returns what puts them back."""
        places = [
            (holder, name, buffer)
            for holder in self._holders
            for name, buffer in holder.items()
            if buffer is not None
        ]
        buffers = [buffer for *_, buffer in places]
        copies = [torch.empty_like(buffer) for buffer in buffers]
        _copy(copies, buffers)

        def put_back() -> None:
            _copy(buffers, copies)
            for holder, name, buffer in places:  # a module may have put another one there
                holder[name] = buffer

        return put_back

    def _attempt(
        self, samples: np.ndarray, inputs: Tensor, pieces: list[np.ndarray]
    ) -> dict[str, Tensor]:
        task, learner = self._task, self._task.learner
        # Dropout and the like: a function of where the step stands, not of what ran before.
        stream = f"{task.phase.name}/torch"
        learner.device.seed(int(draws.bits(task.phase.seed, stream, task.position.step)) >> 1)
        task.optimizer.zero_grad(set_to_none=True)
        rows = len(inputs) // len(samples)
        sums = dict[str, Tensor]()
        parts = inputs.split([rows * len(piece) for piece in pieces])
        for piece, part in zip(pieces, parts, strict=True):
            with learner.within():
                terms = self._terms(piece, part)
                if len(pieces) > 1:
                    share = len(piece) / len(samples)
                    terms = {name: term * share for name, term in terms.items()}
                total_loss(learner.blame, terms).backward()  # type: ignore[no-untyped-call]
            for name, term in terms.items():
                sums[name] = sums[name] + term.detach() if name in sums else term.detach()
        return sums

    def _terms(self, piece: np.ndarray, inputs: Tensor) -> dict[str, Tensor]:
        """The loss's terms of some samples, float32, to be differentiated."""
        learner = self._task.learner
        with learner.device.autocast():
            output = learner.forward(inputs)
            terms = loss_terms(learner.blame, learner.loss, output, batch_of(self._task, piece))
        return {name: term.float() for name, term in terms.items()}


def _cut(samples: np.ndarray, most: int, least: int) -> list[np.ndarray]:
    """A batch's pieces in order, of nearly equal size; none has fewer than `least` samples."""
    count = min(math.ceil(len(samples) / most), len(samples) // least)
    return np.array_split(samples, count) if count > 1 else [samples]


@torch.no_grad()
def _copy(there: list[Tensor], here: list[Tensor]) -> None:
    """Tensor by tensor, in few kernels."""
    if there:
        torch._foreach_copy_(there, here)


def batch_of(task: Task, samples: np.ndarray) -> Batch:
    """What the loss is told of these samples beside the head's output."""
    device = task.learner.device
    rows = torch.from_numpy(samples)
    weights = task.weights
    return Batch(
        target=device.tensor_to(torch.from_numpy(task.targets[samples])),
        samples=device.tensor_to(rows),
        epoch=task.position.epoch,
        weight=None
        if weights is None
        else device.tensor_to(torch.from_numpy(weights[samples]).float()),
        extras={name: device.tensor_to(values[rows]) for name, values in task.extras.items()},
    )
