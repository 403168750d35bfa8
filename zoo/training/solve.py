"""A probe that is solved for: the one optimum of a convex problem, by L-BFGS on all images at once.

What is minimised over the parameters θ of head and loss is

    mean over the images of the loss + decay/2 · Σ |W|²      (W: the parameters that are matrices)

which is logistic regression with C = 1 / (decay · images) where the head is linear and the loss is
cross-entropy. Nothing is drawn at random. The arithmetic is float32, that of the losses: float64
takes twice as long, and moves no weight by more than 3e-4 and no answer.
"""

from __future__ import annotations

import copy
import math
import time
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from zoo.errors import Diverged
from zoo.training.assemble import loss_terms, total_loss
from zoo.training.fit import Position, named, record_of, timed
from zoo.training.gradients import batch_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch.optim import Optimizer

    from zoo.contracts import Batch
    from zoo.history import EpochRecord
    from zoo.training.fit import Task

#: greatest entry of the gradient at which the optimum is reached; features are of unit size
TOLERANCE = 1e-5
#: the same where settings are only to be compared: the same one is chosen, for a sixth of the work
ROUGH = 1e-3
#: float32 cannot tell losses apart that differ by less
_CHANGE = 1e-9
#: iterations at most
MOST = 1000
#: images whose logits are held at a time
_CHUNK = 8192


def run(
    task: Task,
    *,
    after_step: Callable[[], None],
    progress: Callable[[int, float], None],
    name_samples: Callable[[np.ndarray], list[str]],
    tolerance: float = TOLERANCE,
) -> Iterator[EpochRecord]:
    """Solve a phase of one epoch; afterwards the optimum is in place, and one record is given.

    Args:
        task: whose optimiser is `torch.optim.LBFGS`.
        after_step: called before each evaluation; may save a checkpoint, which is one of the start
            since a solve has no half-way, or raise to stop.
        progress: called with (images, loss) of each evaluation.
        name_samples: what to call images in a diagnosis.
        tolerance: greatest entry of the gradient to stop at.

    Raises:
        Diverged: the loss is not finite.
    """
    position = task.position
    if position.epoch >= task.phase.epochs:
        return
    started = time.perf_counter()
    start = copy.deepcopy(task.learner.state())
    parts = _parts(task)
    evaluations, terms = 0, dict[str, float]()

    def objective() -> Tensor:
        nonlocal evaluations, terms
        with _put_back(task, start):
            after_step()
        evaluations += 1
        terms, total = _evaluate(task, parts)
        if not math.isfinite(total):
            raise _diverged(task, terms, name_samples(_not_finite(parts)))
        for name, value in terms.items():
            position.peaks[name] = max(position.peaks.get(name, 0.0), abs(value))
        progress(len(task.targets), total)
        return torch.tensor(total)

    task.learner.trained.train()
    position.step = _minimise(task.optimizer, objective, tolerance)
    terms, _ = _evaluate(task, parts)
    position.solved = {"evaluations": evaluations, "gradient": _take_gradient(task.optimizer)}
    speed = len(task.targets) * evaluations / max(time.perf_counter() - started, 1e-9)
    position.sums, position.seen = terms, 1  # they are means already
    record = record_of(task, task.validate())
    position.epoch, position.seen = 1, 0
    position.sums.clear()
    yield timed(record, speed, time.perf_counter() - started)


def account(position: Position, decay: float, images: int) -> dict[str, float | bool]:
    """What summary.json says of a solve.

    Args:
        position: at its end.
        decay: of the matrices.
        images: of the training part.
    """
    return {
        **position.solved,
        "iterations": position.step,
        "weight_decay": decay,
        **({"C": 1 / (decay * images)} if decay else {}),
    }


def _minimise(optimizer: Optimizer, objective: Callable[[], Tensor], tolerance: float) -> int:
    """Iterations done."""
    group = optimizer.param_groups[0]
    group |= {"max_iter": MOST, "max_eval": 10 * MOST}
    group |= {"tolerance_grad": tolerance, "tolerance_change": _CHANGE}
    optimizer.step(objective)  # type: ignore[arg-type]  # a closure of another return type
    iterations = int(optimizer.state[group["params"][0]].get("n_iter", 0))
    # Nothing goes on from here, so a checkpoint has nothing to keep of it.
    optimizer.state.clear()
    return iterations


def _take_gradient(optimizer: Optimizer) -> float:
    """The greatest entry of the gradient that is there; afterwards there is none."""
    found = [one.grad for one in optimizer.param_groups[0]["params"] if one.grad is not None]
    greatest = max((float(gradient.abs().max()) for gradient in found), default=0.0)
    optimizer.zero_grad(set_to_none=True)
    return greatest


def _parts(task: Task) -> list[tuple[float, Tensor, Batch]]:
    """All images in pieces: each its share of them, their features, and what the loss is told."""
    count = len(task.targets)
    pieces = np.array_split(np.arange(count), math.ceil(count / _CHUNK))
    return [(len(one) / count, task.feed.batch(0, one), batch_of(task, one)) for one in pieces]


def _evaluate(
    task: Task, parts: list[tuple[float, Tensor, Batch]]
) -> tuple[dict[str, float], float]:
    """Means of the loss's terms over all images, and the objective; its gradient is left behind."""
    optimizer, learner = task.optimizer, task.learner
    optimizer.zero_grad(set_to_none=True)
    sums = dict[str, float]()
    for share, features, batch in parts:
        terms = loss_terms(learner.blame, learner.loss, learner.forward(features), batch)
        total = total_loss(learner.blame, {name: term.float() for name, term in terms.items()})
        (total * share).backward()  # type: ignore[no-untyped-call]
        for name, term in terms.items():
            sums[name] = sums.get(name, 0.0) + float(term.detach()) * share
    return sums, sum(sums.values()) + _add_decay(optimizer, task.phase.recipe.weight_decay)


@torch.no_grad()
def _add_decay(optimizer: Optimizer, decay: float) -> float:
    """`decay/2 · Σ |W|²`, its gradient being added to that of the loss."""
    matrices = [one for one in optimizer.param_groups[0]["params"] if one.ndim > 1]
    for matrix in matrices:
        if matrix.grad is not None:
            matrix.grad.add_(matrix, alpha=decay)
    return decay / 2 * sum(float(matrix.double().square().sum()) for matrix in matrices)


@contextmanager
def _put_back(task: Task, start: dict[str, Tensor]) -> Iterator[None]:
    """Within the block, the task is as it was before the solve: what is saved begins it again."""
    now, state, peaks = (
        copy.deepcopy(task.learner.state()),
        task.optimizer.state,
        task.position.peaks,
    )
    task.learner.restore(start)
    task.optimizer.state, task.position.peaks = defaultdict(dict), dict[str, float]()
    try:
        yield
    finally:
        task.learner.restore(now)
        task.optimizer.state, task.position.peaks = state, peaks


def _not_finite(parts: list[tuple[float, Tensor, Batch]]) -> np.ndarray:
    """Samples with features that are no numbers."""
    whole = torch.cat([features.flatten(1).isfinite().all(1) for _, features, _ in parts])
    return np.flatnonzero(~whole.cpu().numpy())


def _diverged(task: Task, terms: dict[str, float], names: list[str]) -> Diverged:
    shown = ", ".join(f"{name} {value}" for name, value in terms.items())
    where = f" The features of these are not finite: {named(names)}." if names else ""
    return Diverged(
        f"The loss is not finite while the {task.phase.name} is solved for: {shown}.{where} "
        "Nothing was trained.",
        hint="Look at these images." if names else "Try --set probe.solver=epochs.",
        facts={
            "phase": task.phase.name,
            "epoch": 1,
            "step": 0,
            "lr": task.phase.recipe.head_lr,
            # As text: JSON has no name for what is not finite.
            "terms": {name: str(value) for name, value in terms.items()},
            "files": names,
        },
    )
