"""Accuracy and its companions, counted in whole numbers; tests hold them equal to scikit-learn's.

Figures by class take memory that grows with the classes, and not with their square, as the whole
confusion matrix does: for 100,000 classes that would be 80 GB. No library of metrics is asked: to
import one costs more than all epochs of a probe.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.errors import Diverged
from zoo.history import wilson

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray


#: up to how many classes their confusion matrix is made: a million numbers
_MATRIX = 1000


@dataclass(frozen=True, slots=True)
class Scores:
    """How well logits fit targets.

    Args:
        top1: share of right answers, 0..1.
        macro_f1: mean F1 over the classes that occur in target or answer, 0..1.
        count: number of images.
        per_class: for each class precision, recall, F1 (0..1) and number of images.
        confusion: `[C, C]` counts, rows true, columns answered; None above 1,000 classes.
    """

    top1: float
    macro_f1: float
    count: int
    per_class: tuple[dict[str, float], ...]
    confusion: tuple[tuple[int, ...], ...] | None

    def to_json(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """As summary.json has it: rates, the 95 % interval of top-1, figures by class name."""
        return {
            "top1": self.top1,
            "macro_f1": self.macro_f1,
            "n": self.count,
            "interval": list(wilson(self.top1, self.count)),
            "per_class": dict(zip(classes, self.per_class, strict=True)),
            "confusion": self.confusion and [list(row) for row in self.confusion],
        }


def quick_scores(logits: Tensor, target: Tensor) -> tuple[float, float]:
    """Top-1 and macro F1 alone, both 0..1, of logits `[N, C]` and class indices `[N]`.

    Both are NaN where a logit is not finite: then there is no answer to count.
    """
    if not bool(torch.isfinite(logits).all()):
        return math.nan, math.nan
    answers, target = logits.argmax(1).cpu(), target.cpu()
    return _top1(answers, target), _macro_f1(answers, target, logits.shape[1])


def refuse_infinite(logits: Tensor) -> None:
    """Let nobody take the largest of numbers that are none for an answer.

    Raises:
        Diverged: a logit of `[N, C]` is not finite.
    """
    bad = int((~torch.isfinite(logits)).any(1).sum())
    if bad:
        message = f"The model's answers to {bad} of {len(logits)} images are not finite."
        raise Diverged(message, hint="Train it again with a lower --lr.")


def score_numpy(logits: Tensor, target: NDArray[np.int64]) -> Scores:
    """`score` for targets that are a numpy array."""
    return score(logits, torch.from_numpy(target))


def score(logits: Tensor, target: Tensor) -> Scores:
    """All figures, of logits `[N, C]` and class indices `[N]`.

    Raises:
        Diverged: a logit is not finite: the model has no answer there.
    """
    refuse_infinite(logits)
    classes = logits.shape[1]
    answers, target = logits.argmax(1).cpu(), target.cpu()
    columns = {name: values.tolist() for name, values in _by_class(answers, target, classes)}
    return Scores(
        top1=_top1(answers, target),
        macro_f1=_macro_f1(answers, target, classes),
        count=len(target),
        per_class=tuple(
            {
                **{name: round(columns[name][place], 6) for name in ("precision", "recall", "f1")},
                "n": columns["n"][place],
            }
            for place in range(classes)
        ),
        confusion=_confusion(answers, target, classes) if classes <= _MATRIX else None,
    )


def _top1(answers: Tensor, target: Tensor) -> float:
    # Divided as Python numbers: the same count of right answers is the same figure anywhere.
    return int((answers == target).sum()) / max(1, len(target))


def _by_class(answers: Tensor, target: Tensor, classes: int) -> Iterator[tuple[str, Tensor]]:
    """Precision, recall and F1 of each class (0 where nothing is to be divided by), and counts.

    F1 = 2 · right / (answered + true), the harmonic mean of right/answered and right/true.
    """
    true, answered, right = (
        torch.bincount(found, minlength=classes)
        for found in (target, answers, target[answers == target])
    )
    yield "precision", right.double() / answered.clamp(min=1)
    yield "recall", right.double() / true.clamp(min=1)
    yield "f1", 2 * right.double() / (answered + true).clamp(min=1)
    yield "n", true
    yield "occurs", answered + true > 0


def _macro_f1(answers: Tensor, target: Tensor, classes: int) -> float:
    found = dict(_by_class(answers, target, classes))
    occurring = found["f1"][found["occurs"]]
    return round(float(occurring.mean()), 6) if len(occurring) else 0.0


def _confusion(answers: Tensor, target: Tensor, classes: int) -> tuple[tuple[int, ...], ...]:
    pairs = torch.bincount(target * classes + answers, minlength=classes * classes)
    return tuple(map(tuple, pairs.view(classes, classes).tolist()))
