"""The loop: phases of epochs of steps, each step a pure function of where it stands.

What is random in a step (order, augmentation, dropout) is drawn from (seed, phase, epoch, step), so
going on from a checkpoint needs no generator's state and no loader's.
"""

from __future__ import annotations

import copy
import math
import time
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from zoo.encoding import line
from zoo.errors import Diverged
from zoo.history import EpochRecord
from zoo.training import optimise
from zoo.training.gradients import Gradients
from zoo.training.ledger import Entry, Ledger
from zoo.training.order import batches, epoch_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import numpy as np
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from zoo.contracts import HeadOutput
    from zoo.training.assemble import Maker
    from zoo.training.device import Device
    from zoo.training.feeds import Feed

#: a term that never exceeds this teaches nothing
_VACUOUS = 1e-7
#: so many files of a bad batch fit into a message; diagnosis.json has all
_NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What is trained, on what, for how long.

    Args:
        name: `probe` or `full`; also the stream that its random draws come from.
        epochs: at most.
        batch_size: samples per step.
        recipe: of the optimiser.
        seed: of the run.
        balanced: draw classes equally often.
        patience: epochs without a better figure before stopping; 0 for never.
        select: `last` or `best`: which epoch's weights are kept.
        metric: `top1` or `macro_f1`: the figure that "best" and patience go by.
    """

    name: str
    epochs: int
    batch_size: int
    recipe: optimise.Recipe
    seed: int
    balanced: bool = False
    patience: int = 0
    select: str = "last"
    metric: str = "top1"


@dataclass(slots=True)
class Learner:
    """The modules of a phase and how an input goes through them.

    Args:
        trained: what train mode, gradients and checkpoints are for (the head, or the whole model).
        forward: input of the feed → `HeadOutput`.
        loss: the loss module.
        blame: whom a fault of the loss belongs to.
        groups: parameters to optimise, by part.
        device: where it runs.
        within: makes what a batch's loss and its gradients are computed within.
        coupled: whether the loss's value for a sample depends on the others of its batch.
    """

    trained: nn.Module
    forward: Callable[[Tensor], HeadOutput]
    loss: nn.Module
    blame: Maker
    groups: dict[str, list[tuple[str, nn.Parameter]]]
    device: Device
    within: Callable[[], AbstractContextManager[object]] = nullcontext
    coupled: bool = False

    def state(self) -> dict[str, Tensor]:
        """Everything that training changes, by name: modules' and the loss's tensors."""
        return {
            **{f"trained.{name}": tensor for name, tensor in self.trained.state_dict().items()},
            **{f"loss.{name}": tensor for name, tensor in self.loss.state_dict().items()},
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state`."""
        for prefix, module in (("trained.", self.trained), ("loss.", self.loss)):
            module.load_state_dict(
                {
                    name.removeprefix(prefix): tensor
                    for name, tensor in state.items()
                    if name.startswith(prefix)
                }
            )


@dataclass(slots=True)
class Position:
    """How far a phase has come; what a checkpoint holds beside tensors.

    Args:
        epoch: of the step that comes next, from 0.
        batch: of the step that comes next within its epoch, from 0.
        step: optimiser steps done.
        sums: of each loss term over the samples of the running epoch.
        seen: samples of the running epoch so far.
        peaks: greatest magnitude of each term so far.
        best: best figure of the metric; None before the first.
        best_epoch: from 1; 0 before the first.
        solved: how a solve ended (see `zoo.training.solve`); empty where there is none.
        micro_batch: samples that go through at once since memory ran out; 0 for a whole batch.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    seen: int = 0
    peaks: dict[str, float] = field(default_factory=dict)
    best: float | None = None
    best_epoch: int = 0
    solved: dict[str, float] = field(default_factory=dict)
    micro_batch: int = 0


@dataclass(slots=True)
class Task:
    """A phase in progress: everything that `run` advances.

    `note` hears what a user should know; `close` ends what works for the feed.
    """

    phase: Phase
    learner: Learner
    feed: Feed
    targets: np.ndarray
    weights: np.ndarray | None
    extras: dict[str, Tensor]
    validate: Callable[[], tuple[float, float] | None]
    optimizer: Optimizer
    position: Position = field(default_factory=Position)
    best_state: dict[str, Tensor] = field(default_factory=dict)
    note: Callable[[str], None] = lambda _words: None
    close: Callable[[], None] = lambda: None

    @property
    def kept_epoch(self) -> int:
        """Whose weights the phase would end with if it ended now, from 1."""
        best = self.position.best_epoch if self.phase.select == "best" else 0
        return best or self.position.epoch


def run(
    task: Task,
    *,
    after_step: Callable[[], None],
    progress: Callable[[int, float], None],
    name_samples: Callable[[np.ndarray], list[str]],
) -> Iterator[EpochRecord]:
    """Advance a phase to its end, one record per epoch; afterwards the kept weights are in place.

    Args:
        task: where to go on from.
        after_step: called when a step is whole; may save a checkpoint or raise to stop.
        progress: called with (samples, loss) of each step.
        name_samples: what to call a batch's samples in a diagnosis.

    Raises:
        Diverged: a loss is not finite; nothing was updated with it, but on MPS.
        OutOfMemory: the smallest piece of a batch does not fit into memory.
    """
    phase, position = task.phase, task.position
    ledger, gradients = Ledger(task.learner.device.torch), Gradients(task)

    def look() -> None:
        for entry in ledger.look():
            _account(task, entry, name_samples)
            progress(len(entry.samples), sum(entry.terms.values()))

    while position.epoch < phase.epochs and not _patience_is_over(phase, position):
        started = time.perf_counter()
        already = position.seen
        order = epoch_order(
            phase.seed, phase.name, position.epoch, task.targets, balanced=phase.balanced
        )
        task.learner.trained.train()
        left = batches(order, phase.batch_size)[position.batch :]
        task.feed.begin(left)
        for samples, following in zip_longest(left, left[1:]):
            _step(task, samples, gradients, ledger)
            if following is not None:
                task.feed.expect(following)
            position.batch += 1
            position.step += 1
            if ledger.due():
                look()
                after_step()
        look()
        trained_seconds = time.perf_counter() - started
        figures = task.validate()
        record = record_of(task, figures)
        _keep_best(task, figures)
        position.epoch, position.batch, position.seen = position.epoch + 1, 0, 0
        position.sums.clear()
        speed = (len(order) - already) / max(trained_seconds, 1e-9)
        yield timed(record, speed, time.perf_counter() - started)
    if phase.select == "best" and task.best_state:
        task.learner.restore(task.best_state)


def vacuous_terms(position: Position) -> tuple[str, ...]:
    """Terms that were zero in every step of a phase: they taught nothing."""
    return tuple(name for name, peak in position.peaks.items() if peak <= _VACUOUS)


def _step(task: Task, samples: np.ndarray, gradients: Gradients, ledger: Ledger) -> None:
    """One optimiser step, all of it left to the device: nothing here waits for a number."""
    optimizer, recipe = task.optimizer, task.phase.recipe
    optimise.set_rate(optimizer, task.position.step, recipe)
    terms = gradients.of(samples)
    norm = optimise.clip(optimizer, recipe.clip)
    ledger.note(optimizer, samples, terms, norm)
    optimizer.step()


def _account(task: Task, entry: Entry, name_samples: Callable[[np.ndarray], list[str]]) -> None:
    """Add a step to the running epoch's sums.

    Raises:
        Diverged: it is not finite.
    """
    position, count = task.position, len(entry.samples)
    if not math.isfinite(sum(entry.terms.values()) + entry.norm):
        raise _diverged(task, entry, name_samples(entry.samples))
    position.seen += count
    for name, value in entry.terms.items():
        position.sums[name] = position.sums.get(name, 0.0) + value * count
        position.peaks[name] = max(position.peaks.get(name, 0.0), abs(value))


def record_of(task: Task, figures: tuple[float, float] | None) -> EpochRecord:
    """The running epoch's line, but for its times.

    Args:
        task: at the epoch's end.
        figures: top-1 and macro F1 of the validation part; None without one.
    """
    position = task.position
    terms = {name: total / max(1, position.seen) for name, total in position.sums.items()}
    return EpochRecord(
        phase=task.phase.name,
        epoch=position.epoch + 1,
        step=position.step,
        loss=sum(terms.values()),
        terms=terms,
        # JSON has no name for what is no number.
        top1=figures[0] if figures and math.isfinite(figures[0]) else None,
        macro_f1=figures[1] if figures and math.isfinite(figures[1]) else None,
        lr=task.phase.recipe.head_lr * optimise.rate(position.step - 1, task.phase.recipe),
        images_per_second=0.0,
        seconds=0.0,
    )


def timed(record: EpochRecord, speed: float, seconds: float) -> EpochRecord:
    """The record with images per second, and seconds of the whole epoch."""
    return replace(record, images_per_second=round(speed, 2), seconds=round(seconds, 4))


def _keep_best(task: Task, figures: tuple[float, float] | None) -> None:
    """Remember the best epoch; a figure that is not a number is never the best."""
    position = task.position
    if figures is None:
        return
    figure = figures[0] if task.phase.metric == "top1" else figures[1]
    if math.isfinite(figure) and (position.best is None or figure > position.best):
        position.best, position.best_epoch = figure, position.epoch + 1
        if task.phase.select == "best":
            task.best_state = copy.deepcopy(
                {name: tensor.detach().cpu() for name, tensor in task.learner.state().items()}
            )


def _patience_is_over(phase: Phase, position: Position) -> bool:
    return bool(
        phase.patience
        and position.best_epoch
        and position.epoch - position.best_epoch >= phase.patience
    )


def named(files: list[str]) -> str:
    """The first of many files, for a message."""
    return ", ".join(map(line, files[:_NAMED])) + (" ..." if len(files) > _NAMED else "")


def _diverged(task: Task, entry: Entry, names: list[str]) -> Diverged:
    phase, epoch = task.phase, task.position.epoch + 1
    # The epoch's batches before this one have been accounted for, this one has not.
    within = task.position.seen // phase.batch_size
    step = task.position.step - task.position.batch + within
    lr = phase.recipe.head_lr * optimise.rate(step, phase.recipe)
    values = {**entry.terms, "gradient norm": entry.norm}
    shown = ", ".join(f"{name} {value}" for name, value in values.items())
    obeyed = task.learner.device.torch.type in optimise.OBEYING
    kept = " No weight was updated with it." if obeyed else ""
    return Diverged(
        f"The loss is not finite at step {step} of the {phase.name} phase "
        f"(epoch {epoch}, learning rate {lr:.3g}): {shown}. "
        f"The batch: {named(names)}.{kept}",
        hint="Try a lower --lr, or look at these images.",
        facts={
            "phase": phase.name,
            "epoch": epoch,
            "step": step,
            "lr": lr,
            # As text: JSON has no name for what is not finite.
            "terms": {name: str(value) for name, value in values.items()},
            "files": names,
        },
    )
