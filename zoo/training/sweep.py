"""Which settings a probe is trained with, where it has several to choose from (`probe.sweep`).

A fifth of each class of the training part is held out (copies of an image stay together; see
`zoo.data.split`), a head is trained on the rest with each of the settings, and the setting whose
head gives the held-out images the least cross-entropy is the one that the whole training part is
then trained with. Of few images the cross-entropy tells more than the accuracy, which many settings
share. No image of the validation or the test part is looked at. All of it is a function of the seed
and the features: a run that was stopped meanwhile chooses again, and the same.
"""

from __future__ import annotations

import copy
import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everyone writes it

from zoo import grid
from zoo.errors import Diverged, ZooError
from zoo.training import fit, solve, threads
from zoo.training.heads import train_together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from zoo.phases import PhasePlan
    from zoo.training.session import Session

    Prepare = Callable[[Session, PhasePlan], fit.Task]
    State = dict[str, Tensor]

#: held-out features whose logits are made at a time
_CHUNK = 4096
#: of a head that gives no numbers, or that nobody judged
_NO_ANSWER: dict[str, Any] = {"loss": None, "top1": None}


@dataclass(frozen=True, slots=True)
class Held:
    """What heads are judged by.

    Args:
        features: `[n, K, D]` of the held-out images: each of the kept views counts.
        target: class indices `[n]`.
    """

    features: Tensor
    target: Tensor


def chosen(session: Session, phase: PhasePlan, prepare: Prepare) -> PhasePlan:
    """The phase with the best of the settings that `probe.sweep` names; as it is without any.

    The session's `sweep` tells what came of each.

    Args:
        session: with the features of its training part.
        phase: a probe.
        prepare: makes a task of a session and a phase.

    Raises:
        UsageError: the classes are too small for any image to be held out.
        Diverged: no setting gives finite answers.
    """
    tried = grid.parse(str(session.plan["probe.sweep"] or ""))
    if not tried:
        return phase
    if not session.sweep:
        session.sweep = _swept(session, phase, tried, prepare)
    return _with(phase, session.sweep["chosen"])


def _with(phase: PhasePlan, setting: Mapping[str, float]) -> PhasePlan:
    lr = setting.get("lr", phase.lr)
    decay = setting.get("weight_decay", phase.weight_decay)
    return replace(phase, lr=lr, head_lr=lr, weight_decay=decay)


def _swept(
    session: Session,
    phase: PhasePlan,
    tried: Sequence[Mapping[str, float]],
    prepare: Prepare,
) -> dict[str, Any]:
    """The choice, as summary.json has it."""
    if len(tried) == 1:
        return {"chosen": dict(tried[0]), "settings": [{**tried[0], **_NO_ANSWER}]}
    part, held = _split(session)
    phases = [_with(phase, setting) for setting in tried]
    session.listener.begin("sweep", len(tried), "settings")
    with threads.suited(session.model.head), _as_it_was(session.model.head):
        states = _states(part, phases, prepare)
        judged = [_judged(part, held, state) for state in states]
    session.listener.end()
    finite = [place for place, one in enumerate(judged) if math.isfinite(one["loss"])]
    if not finite:
        raise Diverged(
            "No setting of probe.sweep gives finite answers on the held-out images.",
            hint="Try lower rates, or look at the images.",
        )
    best = min(finite, key=lambda place: judged[place]["loss"])
    return {
        "trained_on": len(part.features["train"]),
        "held_out": len(held.target),
        "chosen": dict(tried[best]),
        "settings": [
            # JSON has no name for what is no number.
            {**setting, **(judgement if math.isfinite(judgement["loss"]) else _NO_ANSWER)}
            for setting, judgement in zip(tried, judged, strict=True)
        ],
    }


def _split(session: Session) -> tuple[Session, Held]:
    """The session on four fifths of its training part, without any other part; and the fifth."""
    dataset, counts = session.dataset, session.plan.counts
    assert counts is not None  # noqa: S101 - settled before the model was built
    rows = dataset.rows("train")
    judges = dataset.held_out(session.seed, grid.HELD_OUT)
    held, kept = np.flatnonzero(judges), np.flatnonzero(~judges)
    splits = np.full(len(dataset.splits), "unused", object)
    splits[rows[kept]] = "train"
    fewer = dataset.with_splits(tuple(splits))
    features = session.features["train"]
    part = replace(
        session,
        plan=replace(
            session.plan, counts=replace(counts, train=fewer.counts("train"), val=0, test=0)
        ),
        dataset=fewer,
        features={"train": features[kept]},
        extras={name: values[kept] for name, values in session.extras.items()},
    )
    return part, Held(features[held], torch.from_numpy(dataset.targets[rows[held]]))


def _states(part: Session, phases: Sequence[PhasePlan], prepare: Prepare) -> list[State]:
    """The head's state after training with each of the phases: in one pass where that works."""
    if phases[0].optimizer == "lbfgs":
        return _one_by_one(part, phases, prepare, warm=True)
    tasks = [prepare(part, phase) for phase in phases]
    recipes = [task.phase.recipe for task in tasks]
    try:
        with warnings.catch_warnings():
            # An operation that torch vectorises slowly is still right.
            warnings.filterwarnings("ignore", message="There is a performance drop")
            return train_together(tasks[0], recipes, part.pause, part.listener.advance)
    except (ZooError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - a plugin's code may refuse in any words
        words = f"{type(error).__name__}: {error}".strip().split("\n")[0]
        part.listener.note(f"sweep: one setting after the other, since all at once fail: {words}")
    return _one_by_one(part, phases, prepare, warm=False)


def _one_by_one(
    part: Session, phases: Sequence[PhasePlan], prepare: Prepare, *, warm: bool
) -> list[State]:
    """Likewise, one after the other.

    Args:
        part: what to train on.
        phases: one of each setting.
        prepare: makes a task.
        warm: begin each at the end of the one with the next greater decay, for a solver comes to
            the same optimum from anywhere.
    """
    head = part.model.head
    start = copy.deepcopy(head.state_dict())
    found: dict[int, State] = {}
    order = sorted(range(len(phases)), key=lambda place: -phases[place].weight_decay)
    for place in order:
        if not warm:
            head.load_state_dict(start)
        task = prepare(part, phases[place])
        try:
            _finish(task, part)
        except Diverged:  # as any setting may; what it came to is judged by its answers
            _spoil(head)
        found[place] = copy.deepcopy(head.state_dict())
        part.listener.advance(1)
    return [found[place] for place in range(len(phases))]


def _finish(task: fit.Task, part: Session) -> None:
    """Carry a task out, of which nothing but the trained head is wanted."""
    known: dict[str, Any] = {
        "after_step": part.pause,
        "progress": lambda _count, _loss: None,
        "name_samples": lambda samples: [str(sample) for sample in samples],
    }
    solved = task.phase.recipe.optimizer == "lbfgs"
    for _ in solve.run(task, **known, tolerance=solve.ROUGH) if solved else fit.run(task, **known):
        pass


@torch.no_grad()
def _spoil(head: nn.Module) -> None:
    """Let a head that diverged give no answers, rather than those of its last finite step."""
    for parameter in head.parameters():
        parameter.fill_(math.nan)


@contextmanager
def _as_it_was(head: nn.Module) -> Iterator[None]:
    """After the block, the head's tensors are what they were, and so is its mode."""
    state, training = copy.deepcopy(head.state_dict()), head.training
    try:
        yield
    finally:
        head.load_state_dict(state)
        head.train(training)


@torch.inference_mode()
def _judged(part: Session, held: Held, state: State) -> dict[str, float]:
    """Mean cross-entropy and share of right answers of a head on held-out images, view by view."""
    model = part.model
    model.head.load_state_dict(state, strict=False)  # what is not trained stays as it is
    model.head.eval()
    views = held.features.flatten(0, 1)[:, None]  # each as prediction sees it, V = 1
    logits = torch.cat([model.answer(some).logits.float() for some in views.split(_CHUNK)])
    target = held.target.to(logits.device).repeat_interleave(held.features.shape[1])
    right = int((logits.argmax(1) == target).sum())
    return {
        "loss": round(float(F.cross_entropy(logits, target)), 6),
        "top1": right / len(target),
    }
