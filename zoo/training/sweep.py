"""Which settings a probe is trained with, where it has several to choose from (`probe.sweep`).

A fold of the training part is held out (stratified, copies of an image stay together; see
`zoo.data.split`), a head is trained on the rest with each of the settings, and so for each fold;
the setting whose heads give the held-out images the least cross-entropy is the one that the whole
training part is then trained with. Of few images the cross-entropy tells more than the accuracy,
which many settings share. Where classes shall count alike (`balance`, or `metric=macro_f1`), each
has the same weight in it. No image of the validation or the test part is looked at. All of it is a
function of the seed and the features: a run that was stopped meanwhile chooses again, and the same.
Heads are judged as they come, and none is kept.
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
from zoo.training import fit, path, solve, threads
from zoo.training.heads import train_together
from zoo.training.order import class_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from zoo.phases import PhasePlan
    from zoo.training.session import Session

    Prepare = Callable[[Session, PhasePlan], fit.Task]
    State = dict[str, Tensor]
    #: place of the setting, number of the fold, what was trained
    Trained = tuple[int, int, State]

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
        weights: what each image counts `[n]`; None for 1.
    """

    features: Tensor
    target: Tensor
    weights: Tensor | None = None


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
    return compared(session, phase, tried, prepare)


def compared(
    session: Session,
    phase: PhasePlan,
    tried: Sequence[Mapping[str, float]],
    prepare: Prepare,
) -> dict[str, Any]:
    """What comes of each setting on held-out images, and the best; arguments as for `chosen`.

    Raises:
        Diverged: no setting gives finite answers.
    """
    count = int(session.plan["probe.folds"])
    folds = session.dataset.folds(session.seed, count)
    tallies = [_Tally() for _ in tried]
    session.listener.begin("sweep", len(tried) * len(_numbers(folds)), "heads")
    with threads.suited(session.model.head), _as_it_was(session.model.head):
        phases = [_with(phase, setting) for setting in tried]
        judges = {fold: _held(session, folds == fold) for fold in _numbers(folds)}
        for place, fold, state in _states(session, phases, folds, prepare):
            tallies[place].add(*_judged(session, judges[fold], state))
            session.listener.advance(1)
    session.listener.end()
    judged = [tally.outcome() for tally in tallies]
    finite = [place for place, one in enumerate(judged) if one["loss"] is not None]
    if not finite:
        raise Diverged(
            "No setting of probe.sweep gives finite answers on the held-out images.",
            hint="Try lower rates, or look at the images.",
        )
    best = min(finite, key=lambda place: judged[place]["loss"])
    out = int((folds >= 0).sum())
    return {
        "folds": count,
        "trained_on": round(len(folds) - out / count),
        "held_out": out,
        "weighted": grid.weighs_classes(session.plan.settings),
        "chosen": dict(tried[best]),
        "settings": [
            {**setting, **judgement} for setting, judgement in zip(tried, judged, strict=True)
        ],
    }


@dataclass(slots=True)
class _Tally:
    """What a setting's heads came to on held-out views: sums over all that were judged."""

    loss: float = 0.0
    weight: float = 0.0
    right: int = 0
    views: int = 0

    def add(self, loss: float, weight: float, right: int, views: int) -> None:
        """A head's."""
        self.loss += loss
        self.weight += weight
        self.right += right
        self.views += views

    def outcome(self) -> dict[str, Any]:
        """As summary.json has it: (weighted) mean cross-entropy, and share of right answers."""
        # JSON has no name for what is no number.
        if not math.isfinite(self.loss):
            return _NO_ANSWER
        return {"loss": round(self.loss / self.weight, 6), "top1": self.right / self.views}


def _held(session: Session, held: np.ndarray) -> Held:
    """What these images of the training part `[n]` judge by."""
    targets, place = session.dataset.targets[session.dataset.rows("train")], session.device
    weights = None
    if grid.weighs_classes(session.plan.settings):
        weights = place.tensor_to(torch.from_numpy(class_weights(targets)[held]).float())
    target = place.tensor_to(torch.from_numpy(targets[held]))
    return Held(session.features["train"][held], target, weights)


def _without(session: Session, held: np.ndarray) -> Session:
    """The session on its training part less the held-out images `[n]`, without any other part."""
    dataset, counts = session.dataset, session.plan.counts
    assert counts is not None  # noqa: S101 - settled before the model was built
    rows = dataset.rows("train")
    kept = np.flatnonzero(~held)
    splits = np.full(len(dataset.splits), "unused", object)
    splits[rows[kept]] = "train"
    fewer = dataset.with_splits(tuple(splits))
    return replace(
        session,
        plan=replace(
            session.plan, counts=replace(counts, train=fewer.counts("train"), val=0, test=0)
        ),
        dataset=fewer,
        features={"train": session.features["train"][kept]},
        extras={name: values[kept] for name, values in session.extras.items()},
    )


def _states(
    session: Session, phases: Sequence[PhasePlan], folds: np.ndarray, prepare: Prepare
) -> Iterator[Trained]:
    """The head's state after training with each of the phases without each of the folds.

    In one pass where that works: of a solver for all folds, of epochs for each.
    """
    if phases[0].optimizer == "lbfgs":
        decays = [phase.weight_decay for phase in phases]
        task = prepare(session, phases[0])
        yield from _vectorised(
            session,
            path.along(task, decays, folds, session.pause, tolerance=solve.ROUGH),
            _one_by_one(session, phases, folds, prepare),
        )
        return
    for fold in _numbers(folds):
        only = np.where(folds == fold, fold, -1)
        yield from _vectorised(
            session,
            _together(session, phases, only, prepare),
            _one_by_one(session, phases, only, prepare),
        )


def _vectorised(
    session: Session, together: Iterator[Trained], alone: Iterator[Trained]
) -> Iterator[Trained]:
    """What comes of training together; of training alone where code cannot be vectorised."""
    try:
        with warnings.catch_warnings():
            # An operation that torch vectorises slowly is still right.
            warnings.filterwarnings("ignore", message="There is a performance drop")
            first = next(together)
    except (ZooError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - a plugin's code may refuse in any words
        words = f"{type(error).__name__}: {error}".strip().split("\n")[0]
        session.listener.note(
            f"sweep: one setting after the other, since all at once fail: {words}"
        )
        yield from alone
        return
    yield first
    yield from together


def _together(
    session: Session, phases: Sequence[PhasePlan], folds: np.ndarray, prepare: Prepare
) -> Iterator[Trained]:
    """Heads that are trained in epochs, side by side: those of a fold in one pass."""
    for fold in _numbers(folds):
        part = _without(session, folds == fold)
        task = prepare(part, phases[0])
        recipes = [
            replace(
                task.phase.recipe,
                lr=phase.lr,
                head_lr=phase.head_lr,
                weight_decay=phase.weight_decay,
            )
            for phase in phases
        ]
        for place, state in train_together(task, recipes, part.pause):
            yield place, fold, state


def _one_by_one(
    session: Session, phases: Sequence[PhasePlan], folds: np.ndarray, prepare: Prepare
) -> Iterator[Trained]:
    """Likewise, one after the other, in falling order of decays.

    A solver begins each at the end of the one before, for it comes to the same optimum from there.
    """
    head = session.model.head
    start = copy.deepcopy(head.state_dict())
    order = sorted(range(len(phases)), key=lambda place: -phases[place].weight_decay)
    for fold in _numbers(folds):
        part = _without(session, folds == fold)
        head.load_state_dict(start)
        for place in order:
            if phases[place].optimizer != "lbfgs":
                head.load_state_dict(start)
            task = prepare(part, phases[place])
            try:
                _finish(task, part)
            except Diverged:  # as any setting may; what it came to is judged by its answers
                _spoil(head)
            yield place, fold, copy.deepcopy(head.state_dict())


def _numbers(folds: np.ndarray) -> list[int]:
    """Of the folds that hold an image out."""
    return [int(fold) for fold in np.unique(folds[folds >= 0])]


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
def _judged(session: Session, held: Held, state: State) -> tuple[float, float, int, int]:
    """A head on held-out images, view by view.

    Returns:
        The (weighted) sum of cross-entropies, the sum of weights, right answers, views.
    """
    head = session.model.head.eval()
    views = held.features.flatten(0, 1)[:, None]  # each as prediction sees it, V = 1
    kept = held.features.shape[1]
    target = held.target.repeat_interleave(kept)
    weights = None if held.weights is None else held.weights.repeat_interleave(kept)
    loss, right = 0.0, 0
    for start in range(0, len(target), _CHUNK):
        some = slice(start, start + _CHUNK)
        # What is not trained stays as it is in the head.
        answers = torch.func.functional_call(head, state, (views[some],)).logits.float()
        if weights is None:
            loss += float(F.cross_entropy(answers, target[some], reduction="sum"))
        else:
            each = F.cross_entropy(answers, target[some], reduction="none")
            loss += float((weights[some] * each).sum())
        right += int((answers.argmax(1) == target[some]).sum())
    total = len(target) if weights is None else float(weights.sum())
    return loss, total, right, len(target)
