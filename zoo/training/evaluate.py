"""Accuracy and its companions, by torchmetrics."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.errors import Diverged
from zoo.history import wilson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Scores:
    """How well logits fit targets.

    Args:
        top1: share of right answers, 0..1.
        macro_f1: mean F1 over the classes that occur in target or answer, 0..1.
        count: number of images.
        per_class: for each class precision, recall, F1 (0..1) and number of images.
        confusion: `[C, C]` counts, rows true, columns answered.
    """

    top1: float
    macro_f1: float
    count: int
    per_class: tuple[dict[str, float], ...]
    confusion: tuple[tuple[int, ...], ...]

    def to_json(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """As summary.json has it: rates, the 95 % interval of top-1, figures by class name."""
        return {
            "top1": self.top1,
            "macro_f1": self.macro_f1,
            "n": self.count,
            "interval": list(wilson(self.top1, self.count)),
            "per_class": dict(zip(classes, self.per_class, strict=True)),
            "confusion": [list(row) for row in self.confusion],
        }


def quick_scores(logits: Tensor, target: Tensor) -> tuple[float, float]:
    """Top-1 and macro F1 alone, both 0..1, of logits `[N, C]` and class indices `[N]`.

    Both are NaN where a logit is not finite: then there is no answer to count.
    """
    if not bool(torch.isfinite(logits).all()):
        return math.nan, math.nan
    answers, target = logits.argmax(1).cpu(), target.cpu()
    return _top1(answers, target), _macro_f1(answers, target, logits.shape[1])


def score_numpy(logits: Tensor, target: NDArray[np.int64]) -> Scores:
    """`score` for targets that are a numpy array."""
    return score(logits, torch.from_numpy(target))


def score(logits: Tensor, target: Tensor) -> Scores:
    """All figures, of logits `[N, C]` and class indices `[N]`.

    Raises:
        Diverged: a logit is not finite: the model has no answer there.
    """
    if not bool(torch.isfinite(logits).all()):
        bad = int((~torch.isfinite(logits)).any(1).sum())
        message = f"The model's answers to {bad} of {len(logits)} images are not finite."
        raise Diverged(message, hint="Train it again with a lower --lr.")
    functional = _functional()
    classes = logits.shape[1]
    answers, target = logits.argmax(1).cpu(), target.cpu()
    matrix = functional.multiclass_confusion_matrix(answers, target, num_classes=classes)
    columns = {
        name: measure(answers, target, num_classes=classes, average="none").tolist()
        for name, measure in (
            ("precision", functional.multiclass_precision),
            ("recall", functional.multiclass_recall),
            ("f1", functional.multiclass_f1_score),
        )
    }
    counts = torch.bincount(target, minlength=classes).tolist()
    return Scores(
        top1=_top1(answers, target),
        macro_f1=_macro_f1(answers, target, classes),
        count=len(target),
        per_class=tuple(
            {
                **{name: round(values[place], 6) for name, values in columns.items()},
                "n": counts[place],
            }
            for place in range(classes)
        ),
        confusion=tuple(tuple(int(cell) for cell in row) for row in matrix.tolist()),
    )


def _top1(answers: Tensor, target: Tensor) -> float:
    # Divided as Python numbers: the same count of right answers is the same figure anywhere.
    return int((answers == target).sum()) / max(1, len(target))


def _macro_f1(answers: Tensor, target: Tensor, classes: int) -> float:
    measure = _functional().multiclass_f1_score
    return round(float(measure(answers, target, num_classes=classes, average="macro")), 6)


def _functional() -> Any:  # noqa: ANN401 - a module
    with warnings.catch_warnings():
        # torchmetrics imports parts that we do not use, and some of them warn.
        warnings.simplefilter("ignore")
        from torchmetrics.functional import classification

    return classification
