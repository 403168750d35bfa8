"""Blocks of a run's own work, timed: what `zoo bench` measures on the device.

Nothing here is a copy of the loop: steps are those of `fit.run`, features come from
`features.extractor`, inputs from the feeds. Each is compared with the same work on one batch that
lies on the device, and the two take turns, so that what disturbs one disturbs the other.
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from zoo.speed import Lap, Rate, Share, Stage
from zoo.training import features, fit, solve, threads, train
from zoo.training.feeds import ImageFeed, filled
from zoo.training.model import freeze
from zoo.training.order import batches, epoch_order
from zoo.training.prefetch import Prefetched

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from zoo.phases import PhasePlan
    from zoo.training.session import Session

#: blocks of a measurement; the lesser number where a step takes longer than a block should
BLOCKS, FEW_BLOCKS = 5, 3

#: works for so many seconds, for one step at least, and says what it came to
Work = Callable[[float], Lap]


@dataclass(frozen=True, slots=True)
class OneBatch:
    """A feed of one batch that lies on the device.

    Args:
        inputs: of as many samples as the largest batch has, a sample's rows side by side.
        rows: of `inputs` that a sample takes.
    """

    inputs: Tensor
    rows: int

    def batch(self, epoch: int, samples: np.ndarray) -> Tensor:
        """The same for whatever samples, as many as they are."""
        del epoch
        return self.inputs[: len(samples) * self.rows]

    def begin(self, batches: Sequence[np.ndarray]) -> None:
        """See `zoo.training.feeds.Feed`."""

    def expect(self, samples: np.ndarray) -> None:
        """Nothing is to be done."""


@dataclass(frozen=True, slots=True)
class _Feed:
    """What makes inputs.

    Args:
        made: (epoch, samples) → inputs on the device.
        moved: samples → what inputs are made of, on the device; None where that is all of it.
    """

    made: Callable[[int, np.ndarray], Tensor]
    moved: Callable[[np.ndarray], Tensor] | None = None


class _EnoughError(Exception):
    """A block is over."""


def stages(session: Session, seconds: float) -> tuple[tuple[Stage, ...], Rate | None]:
    """Measure what images go through in each phase of a session's plan.

    Args:
        session: as built; it is of no use afterwards.
        seconds: that each measurement takes, about.

    Returns:
        The stages, and the rate of steps on stored features where the plan has a probe.

    Raises:
        Stopped: somebody asked to stop.
    """
    found: list[Stage] = []
    probe = None
    freeze(session.model)
    shape = len(session.dataset.rows("train")), len(session.dataset.classes)
    # What a loss is given, such as a teacher's logits, decides no step's cost.
    session.extras = {name: torch.zeros(shape) for name in session.plan.extras}
    for phase in session.plan.phases:
        if phase.name == "probe":
            found.append(_features(session, seconds))
            probe = _probe(session, phase, seconds)
        else:
            found.append(_full(session, phase, seconds))
    return tuple(found), probe


def _features(session: Session, seconds: float) -> Stage:
    """Forward passes of the frozen backbone; the session has some of their features afterwards."""
    model, device, kept = session.model.eval(), session.device, session.plan.kept_views
    extract, feed = features.extractor(session), _kept_feed(session)
    whole = max(1, features.batch_size(session) // kept)
    size = min(whole, len(session.dataset.rows("train")))
    resident = feed.made(0, filled(np.arange(size), whole))
    made: list[Tensor] = []

    def achieved(_epoch: int, samples: np.ndarray) -> None:
        made[:] = [extract(samples)]
        made[0].cpu()  # as whoever keeps them does

    def headspace(_epoch: int, samples: np.ndarray) -> None:
        # As many passes as a run makes, of batches that it fills up as well.
        with torch.inference_mode(), device.autocast():
            for _ in range(0, len(samples), whole):
                model.raw_features(resident, kept).cpu()

    works = {
        "headspace": _repeated(session, size, headspace),
        "achieved": _repeated(session, size, achieved),
        **_feeding(session, size, feed),
    }
    stage = _stage(session, "features", works, seconds, batch=size, passes=1)
    count = len(session.dataset.rows("train"))
    session.features["train"] = made[0][torch.arange(count) % len(made[0])]
    return stage


def _kept_feed(session: Session) -> _Feed:
    """What a frozen backbone sees."""
    kept = session.plan.kept_views
    if kept == 1:
        return _Feed(lambda _epoch, samples: features.still_inputs(session, samples))
    feed = features.kept_views_feed(session)
    return _Feed(lambda _epoch, samples: feed.kept(samples, kept), feed.pictures.gather)


def _probe(session: Session, phase: PhasePlan, seconds: float) -> Rate:
    """Steps of a head on stored features."""
    task = train.prepare(session, phase)
    with threads.suited(session.model.head):
        laps = _taking_turns({"steps": _steps(session, task)}, seconds)["steps"]
        return Rate.of(
            laps, batch=phase.batch_size, threads=torch.get_num_threads(), unit="steps/s"
        )


def _full(session: Session, phase: PhasePlan, seconds: float) -> Stage:
    """Training steps of the whole network."""
    task = train.prepare(session, phase)
    feed = task.feed.feed if isinstance(task.feed, Prefetched) else task.feed
    assert isinstance(feed, ImageFeed)  # noqa: S101 - what feeds a phase that is no probe
    moved = None if feed.recipe is None else feed.pictures.gather
    # An epoch's last batch may be one larger than the others.
    samples = np.arange(min(phase.batch_size + 1, len(task.targets)))
    resident = OneBatch(feed.batch(0, samples), session.plan.views)
    works = {
        "headspace": _steps(session, replace(task, feed=resident)),
        "achieved": _steps(session, task),
        **_feeding(session, phase.batch_size, _Feed(feed.batch, moved)),
    }
    with ExitStack() as stack:
        stack.callback(task.close)
        return _stage(session, "full", works, seconds, batch=phase.batch_size, passes=phase.epochs)


def _feeding(session: Session, size: int, feed: _Feed) -> dict[str, Work]:
    """A feed alone, and its transfer alone."""
    device, moved = session.device, feed.moved

    def made(epoch: int, samples: np.ndarray) -> None:
        feed.made(epoch, samples)
        device.wait()

    works = {"feed": _repeated(session, size, made)}
    if moved is not None:

        def transfer(_epoch: int, samples: np.ndarray) -> None:
            moved(samples)
            device.wait()

        works["transfer"] = _repeated(session, size, transfer)
    return works


def _stage(
    session: Session,
    name: str,
    works: Mapping[str, Work],
    seconds: float,
    *,
    batch: int,
    passes: int,
) -> Stage:
    """Carry out a stage's measurements."""
    session.listener.note(f"{name}: {', '.join(works)}, about {len(works) * seconds:.0f} s")
    laps = _taking_turns(works, seconds)
    workers = torch.get_num_threads()
    rates = {one: Rate.of(laps[one], batch=batch, threads=workers) for one in works}
    return Stage(
        name=name,
        headspace=rates["headspace"],
        achieved=rates["achieved"],
        share=Share.of(laps["achieved"], laps["headspace"]),
        feed=rates["feed"],
        transfer=rates.get("transfer"),
        passes=passes,
    )


def _taking_turns(works: Mapping[str, Work], seconds: float) -> dict[str, list[Lap]]:
    """Blocks of each work, one of each in every round; a first step of each does not count."""
    slowest = max(work(0.0).seconds for work in works.values())
    rounds = BLOCKS if slowest < seconds / BLOCKS else FEW_BLOCKS
    laps: dict[str, list[Lap]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            laps[name].append(work(seconds / rounds))
    return laps


def _repeated(session: Session, size: int, do: Callable[[int, np.ndarray], object]) -> Work:
    """Work on one batch of training samples after the other, in a run's order."""
    targets = session.dataset.targets[session.dataset.rows("train")]

    def endless() -> Iterator[tuple[int, np.ndarray]]:
        for epoch in range(sys.maxsize):
            order = epoch_order(session.seed, "bench", epoch, targets, balanced=False)
            yield from ((epoch, samples) for samples in batches(order, size))

    stream = endless()

    def work(seconds: float) -> Lap:
        images = steps = 0
        began = time.perf_counter()
        while not steps or time.perf_counter() - began < seconds:
            session.pause()
            epoch, samples = next(stream)
            do(epoch, samples)
            images, steps = images + len(samples), steps + 1
        return Lap(images, steps, time.perf_counter() - began)

    return work


def _steps(session: Session, task: fit.Task) -> Work:
    """Steps of the loop; each block goes on where the last one stopped.

    A block's first step, in which a feed may have to get ahead again, does not count. The learning
    rate is 0: the arithmetic is the same, and no block makes the next one diverge. A probe that is
    solved for is solved again and again from its start; its steps are evaluations of all images.
    """
    for group in task.optimizer.param_groups:
        group["peak"] = 0.0
    endless = replace(task.phase, epochs=sys.maxsize, patience=0)
    task = replace(task, phase=endless, validate=lambda: None, position=fit.Position())
    solved = task.phase.recipe.optimizer == "lbfgs"
    start = copy.deepcopy(task.learner.state()) if solved else {}

    def work(seconds: float) -> Lap:
        images = steps = 0
        began = None

        def count(samples: int, _loss: float) -> None:
            nonlocal images, steps
            images, steps = images + samples, steps + 1

        def after_step() -> None:
            nonlocal began, images, steps
            session.pause()
            session.device.wait()
            if began is None:
                began, images, steps = time.perf_counter(), 0, 0
            elif time.perf_counter() - began >= seconds:
                raise _EnoughError

        with suppress(_EnoughError):
            while True:
                if solved:
                    task.learner.restore(start)
                    task.optimizer.state.clear()
                    task.position = fit.Position()
                for _ in (solve if solved else fit).run(
                    task, after_step=after_step, progress=count, name_samples=lambda _: []
                ):
                    pass
        assert began is not None  # noqa: S101 - it ends after a step alone
        return Lap(images, steps, time.perf_counter() - began)

    return work
