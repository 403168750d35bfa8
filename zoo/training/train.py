"""A run's phases, one after the other, from a built model to its scores."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from zoo.components import at
from zoo.contracts import HeadContext, LossContext
from zoo.errors import Stopped
from zoo.phases import decide
from zoo.training import checkpoints, compiled, fit, kernels, optimise, solve, sweep, threads
from zoo.training.assemble import build_loss
from zoo.training.evaluate import Scores, quick_scores, score
from zoo.training.features import image_feed, set_scale, split_features
from zoo.training.feeds import FeatureFeed, Feed
from zoo.training.model import fingerprint, thaw
from zoo.training.order import class_weights
from zoo.training.predictor import head_logits
from zoo.training.prefetch import Prefetched

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from torch import Tensor, nn

    from zoo.history import EpochRecord
    from zoo.phases import PhasePlan
    from zoo.plan import Plan
    from zoo.training.assemble import Proof
    from zoo.training.session import Session

#: forward passes that tell what one takes: of fewer, loading, folding and reading are the most
_TELLING = 256
#: what training on an image costs, in forward passes
_TRAINING_COST = 3
#: checkpoints are at least this many times as far apart as the last one took to write
_SAVING_SHARE = 50


def train(
    session: Session,
    *,
    append: Callable[[EpochRecord], None],
    resumed: checkpoints.Found | None = None,
) -> None:
    """Carry out the plan's phases; afterwards the session's model is the finished one.

    Args:
        session: see there.
        append: takes each epoch's record.
        resumed: a checkpoint to go on from.

    Raises:
        Diverged: a loss is not finite.
        Stopped: somebody asked; a checkpoint is saved.
    """
    begun = resumed.described if resumed else {"phase": 0, "records": 0}
    first, records = int(begun["phase"]), int(begun["records"])
    session.phases = list(begun.get("phases", []))
    session.frozen = dict(begun.get("frozen", {}))
    session.sweep = dict(begun.get("sweep", {}))
    session.went_on(begun.get("seconds", {}))
    if first == 0:
        set_scale(session)
        _say_cost(session)
    task: fit.Task | None = None
    for index, phase in enumerate(session.plan.phases[first:], first):
        started = time.perf_counter()
        if phase.name == "probe":
            phase = sweep.chosen(session, phase, prepare)  # noqa: PLW2901 - the one it shall be
        else:  # nobody reads those of the frozen backbone any more, and they may be large
            task = None
            session.features.clear()
        before = session.clock.get("compile", 0.0)
        task = prepare(session, phase)
        started += session.clock.get("compile", 0.0) - before  # which is told for itself
        if index == first and resumed:
            checkpoints.restore(task, resumed)
        records = _carry_out(session, task, index, records, append)
        session.timed(phase.name, started)


def prepare(session: Session, phase: PhasePlan) -> fit.Task:
    """A phase's task: modules, optimiser, feed and validation."""
    plan, model, device = session.plan, session.model, session.device
    counts = plan.counts
    assert counts is not None  # noqa: S101 - settled before the model was built
    probing = phase.name == "probe"
    steps = phase.epochs * phase.steps_per_epoch(counts.images)
    loss = build_loss(
        session.makers[2],
        LossContext(
            classes=len(counts.classes),
            class_counts=counts.train,
            embedding=session.proof.embedding,
            steps=steps,
        ),
        session.seed,
    ).to(device.torch)
    through, within = None, nullcontext
    if not probing:
        thaw(model, norms_still=phase.freeze_bn)
        through = compiled.through(session, phase)
        within = nullcontext if through else kernels.suited(device)
    how = optimise.Recipe(
        optimizer=phase.optimizer,
        lr=phase.lr,
        head_lr=phase.head_lr,
        weight_decay=phase.weight_decay,
        momentum=float(plan["momentum"]),
        warmup=float(plan["warmup"]),
        steps=steps,
        clip=float(plan["clip"]),
    )
    groups = _groups(session, loss, probing=probing)
    targets = session.dataset.targets[session.dataset.rows("train")]
    feed: Feed
    close: Callable[[], None] = _nothing
    if probing:
        feed = FeatureFeed(session.features["train"], plan.views, session.seed)
    elif device.accelerator:
        feed = image_feed(session)
    else:
        feed = ahead = Prefetched(replace(image_feed(session), threads=1))
        close = ahead.close
    trained: nn.Module = model.head if probing else model
    return fit.Task(
        phase=fit.Phase(
            name=phase.name,
            epochs=phase.epochs,
            batch_size=phase.batch_size,
            recipe=how,
            seed=session.seed,
            balanced=plan["balance"] == "sampler",
            patience=phase.patience,
            select=phase.select,
            metric=str(plan["metric"]),
        ),
        learner=fit.Learner(
            trained=trained,
            forward=model.answer if probing else lambda images: model(images, plan.views, through),
            loss=loss,
            blame=session.makers[2],
            groups=groups,
            device=device.in_full if probing else device,
            within=within,
            coupled=at(plan.loss.component.batch_coupled, plan.loss.options),
        ),
        feed=feed,
        targets=targets,
        weights=class_weights(targets) if plan["balance"] == "weights" else None,
        extras=session.extras,
        validate=_validation(session, probing=probing),
        optimizer=optimise.build(groups, how),
        note=session.listener.note,
        close=close,
    )


def _nothing() -> None:
    """Is to be done."""


def _groups(
    session: Session, loss: nn.Module, *, probing: bool
) -> dict[str, list[tuple[str, nn.Parameter]]]:
    """What to optimise; the head's parameters that the loss never reaches are left out."""
    unused = set(session.proof.unused)
    for name, parameter in session.model.head.named_parameters():
        parameter.requires_grad_(name not in unused)
    head = [(n, p) for n, p in session.model.head.named_parameters() if n not in unused]
    groups = {"head": head, "loss": list(loss.named_parameters())}
    if not probing:
        groups["backbone"] = list(session.model.backbone.named_parameters())
    return groups


def _validation(session: Session, *, probing: bool) -> Callable[[], tuple[float, float] | None]:
    rows = session.dataset.rows("val")
    if not len(rows):
        return lambda: None
    target = torch.from_numpy(session.dataset.targets[rows])

    def validate() -> tuple[float, float]:
        if not probing:
            session.features["val"] = split_features(session, "val", told=False)
        figures = quick_scores(head_logits(session.model, session.features["val"]), target)
        if not all(math.isfinite(figure) for figure in figures):
            session.listener.note(
                "validation: the figure is no number; this epoch is never the best."
            )
        return figures

    return validate


def _say_cost(session: Session) -> None:
    """Where the engine chose to leave the backbone alone: why, and what the rest would cost."""
    plan, counts = session.plan, session.plan.counts
    why = plan.phases[0].reasons.get("train")
    if why is None or counts is None or len(plan.phases) > 1 or plan.phases[0].name != "probe":
        return
    *_, full = decide(
        {**plan.settings, "train": "lpft"},
        images=counts.images,
        accelerator=session.device.accelerator,
        pretrained=True,
        layout=plan.backbone.component.facts.layout,
        has_val=counts.val > 0,
    )
    cost = f"{full.epochs} epochs"
    if session.forwards >= _TELLING:  # else nearly all were kept: too little is known of here
        training = _TRAINING_COST * counts.images * plan.views + counts.val
        minutes = full.epochs * training * session.clock["features"] / session.forwards / 60
        cost += f", about {minutes:,.0f} min here"
    session.listener.note(f"train: probe, since {why} ({cost})")


class _Saver:
    """Saves checkpoints of a phase: when it is time, when asked to, and before the run stops."""

    def __init__(self, session: Session, task: fit.Task, index: int, records: int) -> None:
        self.session, self.task, self.index, self.records = session, task, index, records
        self.check = session.pause
        self.every = float(session.plan["checkpoint.seconds"])
        self.steps = int(session.plan["checkpoint.steps"])
        self.saved, self.saved_step = time.monotonic(), task.position.step
        self.started, self.cost = time.perf_counter(), 0.0

    def save(self) -> None:
        """Write a checkpoint of the task as it stands."""
        started = time.monotonic()
        described = {
            "phase": self.index,
            "records": self.records,
            # Less the running one's: going on from its end will give its account again.
            "phases": self.session.phases[: self.index],
            "frozen": self.session.frozen,
            "sweep": self.session.sweep,
            "seconds": self.session.seconds(self.task.phase.name, self.started),
        }
        session = self.session
        checkpoints.save_checkpoint(session.checkpoints, self.task, described, session.seals)
        self.saved, self.saved_step = time.monotonic(), self.task.position.step
        self.cost = self.saved - started

    def pause(self) -> None:
        """Between two steps or batches: stop if asked to, save if it is time."""
        try:
            self.check()
        except Stopped:
            self.save()
            raise
        if self.session.wants_save() or self._is_time():
            self.save()

    def _is_time(self) -> bool:
        if self.steps and self.task.position.step - self.saved_step >= self.steps:
            return True
        # Where saving is slow, less often: it never takes more than a fiftieth of the time.
        return time.monotonic() - self.saved >= max(self.every, _SAVING_SHARE * self.cost)


def _carry_out(
    session: Session,
    task: fit.Task,
    index: int,
    records: int,
    append: Callable[[EpochRecord], None],
) -> int:
    """Run one phase; returns how many records there are afterwards."""
    saver = _Saver(session, task, index, records)
    session.pause = saver.pause
    probing = task.phase.name == "probe"
    judged: Tensor | None = None
    with ExitStack() as stack:
        stack.callback(task.close)
        if probing:
            stack.enter_context(threads.suited(session.model.head))
        for record in (solve if task.phase.recipe.optimizer == "lbfgs" else fit).run(
            task,
            after_step=saver.pause,
            progress=_told(session, task),
            name_samples=lambda samples: _names(session, samples),
        ):
            append(record)
            saver.records += 1
            session.listener.epoch(record, task.phase.epochs)
            if not probing and task.kept_epoch == record.epoch:
                judged = session.features.get("val")
    if judged is not None:
        session.features["val"] = judged
    elif not probing:
        session.features.pop("val", None)
    session.pause = saver.check
    session.listener.end()
    session.phases.append(_account(session, task))
    if probing:
        after = fingerprint(session.model.backbone)
        session.frozen |= {"after": after, "verified": after == session.frozen["before"]}
    saver.save()
    return saver.records


def _told(session: Session, task: fit.Task) -> Callable[[int, float], None]:
    """How a phase's steps are told: image by image where they take time."""
    listener, phase = session.listener, task.phase
    if phase.name == "probe":
        return lambda _count, _loss: None
    listener.begin("full", len(task.targets) * (phase.epochs - task.position.epoch), "images")
    return lambda count, loss: listener.advance(count, loss=loss)


def _names(session: Session, samples: np.ndarray) -> list[str]:
    rows = session.dataset.rows("train")[samples]
    return [session.dataset.table.rows[row].name for row in rows]


def _account(session: Session, task: fit.Task) -> dict[str, Any]:
    """What summary.json says of a phase."""
    position, phase = task.position, task.phase
    decay, images = phase.recipe.weight_decay, len(task.targets)
    solved = solve.account(position, decay, images) if position.solved else None
    if position.solved and position.step >= solve.MOST:
        session.listener.note(
            f"solver: stopped after {position.step} iterations, before it reached the optimum."
        )
    vacuous = fit.vacuous_terms(position)
    for name in vacuous:
        session.listener.note(
            f"The loss term {name!r} was zero in every step: it taught nothing (vacuous)."
        )
    return {
        "name": phase.name,
        "epochs": position.epoch,
        "steps": position.step,
        "select": phase.select,
        "best_epoch": position.best_epoch,
        "stopped_early": position.epoch < phase.epochs,
        "vacuous_terms": list(vacuous),
        "solver": solved,
        "micro_batch": position.micro_batch or None,
    }


def final_scores(session: Session) -> dict[str, Scores | None]:
    """Validation and test scores of the finished model, test being looked at here only.

    Where the kept weights were judged in this process, that is not done again: the figures are of
    the same features.
    """
    started = time.perf_counter()
    session.model.eval()
    probed = session.plan.phases[-1].name == "probe"
    found: dict[str, Scores | None] = {}
    for split in ("val", "test"):
        rows = session.dataset.rows(split)
        if not len(rows):
            found[split] = None
            continue
        features = (
            session.features["val"]
            if split == "val" and "val" in session.features
            else split_features(session, split, frozen=probed)
        )
        target = torch.from_numpy(session.dataset.targets[rows])
        found[split] = score(head_logits(session.model, features), target)
    session.timed("evaluation", started)
    return found


def head_context(plan: Plan, proof: Proof) -> HeadContext:
    """What the head is built for."""
    assert plan.counts is not None  # noqa: S101 - settled before
    return HeadContext(features=proof.features, classes=len(plan.counts.classes), views=plan.views)
