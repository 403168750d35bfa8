"""Solutions along a path of weight decays, of all folds at once.

The folds' problems (see `zoo.training.solve`) differ in which images count: each is the mean over
all images, weighted with zero where one is held out. So one product of matrices serves them all.
Decays come in falling order, and each begins near its end: at the optimum of the decay before it,
moved on as far as the last one moved, with that one's knowledge of the curvature, to which another
decay adds exactly the difference. Held at a time are the folds' heads and what L-BFGS remembers of
them, 2²⁸ numbers (1 GB) or the least that one head takes; no optimum outlives its judgement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from zoo.training import solve
from zoo.training.gradients import batch_of
from zoo.training.heads import NUMBERS
from zoo.training.lbfgs import Memory, minimise
from zoo.training.order import class_weights
from zoo.training.stacked import Both, losses, made

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from zoo.contracts import Batch
    from zoo.training.fit import Task

    State = dict[str, Tensor]

#: steps that are remembered, at least and at most, and so many numbers of memory in between
_HISTORY, _REMEMBERED = (5, 20), 2**27
#: an optimum is moved on so many times as far as the last one at most
_FARTHEST = 2.0
#: images that are gone through at a time, for all folds together, and numbers that are made of
#: them, such as logits, before there are gradients
_CHUNK, _MADE = 16_384, 2**26
#: images that tell how many numbers are made of one
_SOME = 64


def along(
    task: Task,
    decays: Sequence[float],
    folds: np.ndarray,
    pause: Callable[[], None],
    *,
    tolerance: float,
) -> Iterator[tuple[int, int, State]]:
    """For each decay, in falling order, and each fold: (place of the decay, fold, head's state).

    Args:
        task: a probe's that is solved for, on all images; its head stays as it is.
        decays: of the matrices.
        folds: which fold holds each image out `[n]`, from 0; -1 for none.
        pause: called between evaluations; may raise to stop.
        tolerance: greatest entry of the gradient to stop at.

    Raises:
        Exception: whatever code of a head or a loss raises that cannot be vectorised.
    """
    numbers = sum(one.numel() for group in task.learner.groups.values() for _, one in group)
    at_once = max(1, NUMBERS // max(1, numbers))
    held = np.unique(folds[folds >= 0])
    for some in (held[first : first + at_once] for first in range(0, len(held), at_once)):
        problem = _Problem.of(task, folds, some)
        kept = min(_HISTORY[1], max(_HISTORY[0], _REMEMBERED // (2 * numbers * len(some))))
        for place, optima in _optima(problem, decays, Memory(kept), pause, tolerance):
            yield from (
                (place, int(fold), problem.head(optima[at])) for at, fold in enumerate(some)
            )


def _optima(
    problem: _Problem,
    decays: Sequence[float],
    memory: Memory,
    pause: Callable[[], None],
    tolerance: float,
) -> Iterator[tuple[int, Tensor]]:
    """The place of each decay, in falling order, and the folds' optima `[S, P]`."""
    order = sorted(range(len(decays)), key=lambda place: -decays[place])
    here, moved, former = problem.start, torch.zeros_like(problem.start), math.inf
    shares = _shares([decays[place] for place in order])
    for place, share in zip(order, shares, strict=True):
        decay = decays[place]

        def objective(
            numbers: Tensor, which: Tensor, decay: float = decay
        ) -> tuple[Tensor, Tensor]:
            pause()
            return problem.evaluate(numbers, which, decay)

        if math.isfinite(former):
            memory.bend(problem.decayed * (decay - former))
        found = minimise(
            objective, here + share * moved, memory, tolerance=tolerance, most=solve.MOST
        )
        # The way from where training begins says nothing of the path.
        here, moved, former = found, found - here if math.isfinite(former) else moved, decay
        yield place, found


def _shares(decays: Sequence[float]) -> list[float]:
    """How far to move on for each of falling decays, in the last moves: a line over log decay."""
    steps = [math.log(one / two) if two > 0 else 0.0 for one, two in pairwise(decays)]
    shares = [min(_FARTHEST, two / one) if one else 0.0 for one, two in pairwise(steps)]
    return [0.0, 0.0, *shares][: len(decays)]


@dataclass(frozen=True, slots=True)
class _Problem:
    """What is minimised, for S folds at once, over their P numbers each.

    Args:
        both: head and loss.
        shapes: of the trained parameters, by name; a fold's numbers are these, one after the other.
        buffers: `[S, ...]` by name.
        start: `[S, P]`.
        decayed: 1 for each number that has weight decay, else 0, `[P]`.
        parts: images in pieces: the share of all that each is, features, what the loss is told.
        weights: how much each image of a piece counts in each fold, `[S, b]`.
    """

    both: Both
    shapes: dict[str, torch.Size]
    buffers: dict[str, Tensor]
    start: Tensor
    decayed: Tensor
    parts: list[tuple[float, Tensor, Batch]]
    weights: list[Tensor]

    @staticmethod
    def of(task: Task, folds: np.ndarray, some: np.ndarray) -> _Problem:
        """The problem of some folds, beginning where the task's head is."""
        learner, count = task.learner, len(some)
        both = Both(learner.trained, learner.loss).train()
        trained = {
            f"{part}.{name}": parameter.detach()
            for part, group in learner.groups.items()
            for name, parameter in group
        }
        weighed = np.stack([_weights(task, folds != fold) for fold in some])
        buffers = {
            name: one.expand(count, *one.shape).clone() for name, one in both.named_buffers()
        }
        chunk = min(_CHUNK, _MADE // max(1, _made_of_one(task, both, trained, buffers)))
        pieces = np.array_split(
            np.arange(len(folds)), min(len(folds), math.ceil(len(folds) * count / max(1, chunk)))
        )
        device = learner.device
        return _Problem(
            both=both,
            shapes={name: one.shape for name, one in trained.items()},
            buffers=buffers,
            start=torch.cat([one.flatten() for one in trained.values()]).repeat(count, 1),
            decayed=torch.cat(
                [torch.full_like(one, one.ndim > 1).flatten() for one in trained.values()]
            ),
            parts=[
                (len(one) / len(folds), task.feed.batch(0, one), batch_of(task, one))
                for one in pieces
            ],
            weights=[device.tensor_to(torch.from_numpy(weighed[:, one])) for one in pieces],
        )

    def evaluate(self, numbers: Tensor, which: Tensor, decay: float) -> tuple[Tensor, Tensor]:
        """Objectives `[s]`, float64, and gradients `[s, P]` of `which` of the folds `[s]`."""
        trained = {name: one.requires_grad_() for name, one in self._tensors(numbers).items()}
        buffers = {name: one[which] for name, one in self.buffers.items()}
        values = torch.zeros(len(numbers), dtype=torch.float64, device=numbers.device)
        gradients = torch.zeros_like(numbers)
        for (share, features, batch), weights in zip(self.parts, self.weights, strict=True):
            found = losses(self.both, trained, buffers, features, batch, weights[which]) * share
            made = torch.autograd.grad(found.sum(), [*trained.values()])
            gradients += torch.cat([one.flatten(1) for one in made], 1)
            values += found.detach()
        squares = (numbers.square() * self.decayed).sum(1, dtype=torch.float64)
        return values + decay / 2 * squares, gradients.addcmul_(self.decayed, numbers, value=decay)

    def head(self, numbers: Tensor) -> State:
        """A fold's `[P]` as the head's tensors, by name."""
        return {
            name.removeprefix("head."): one[0]
            for name, one in self._tensors(numbers[None]).items()
            if name.startswith("head.")
        }

    def _tensors(self, numbers: Tensor) -> dict[str, Tensor]:
        """`[s, P]` as parameters `[s, ...]`, by name."""
        sizes = [shape.numel() for shape in self.shapes.values()]
        return {
            name: some.reshape(len(numbers), *shape)
            for (name, shape), some in zip(
                self.shapes.items(), numbers.split(sizes, 1), strict=True
            )
        }


def _made_of_one(task: Task, both: Both, trained: State, buffers: State) -> int:
    """How many numbers a head and its loss make of an image, as far as some tell."""
    some = np.arange(min(_SOME, len(task.targets)))
    found = made(
        both,
        {name: one[None].requires_grad_() for name, one in trained.items()},
        {name: one[:1].clone() for name, one in buffers.items()},
        task.feed.batch(0, some),
        batch_of(task, some),
    )
    return math.ceil(found / len(some))


def _weights(task: Task, kept: np.ndarray) -> np.ndarray:
    """How much each image counts, `[n]`, where only the `kept` ones are trained on: mean 1."""
    weights = np.zeros(len(kept), np.float32)
    weights[kept] = len(kept) / kept.sum()
    if task.weights is not None:
        weights[kept] *= class_weights(task.targets[kept])
    return weights
