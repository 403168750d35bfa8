"""Compares a probe with scikit-learn's tuned logistic regression on the same features and split.

::

    python benchmarks/probe_accuracy.py --data FOLDER [--spec SPEC] [--seeds 0 1 2 3 4]
        [--split val] [--set key=value ...]

For each seed, `zoo.run` trains a probe: where the folder has no split of its own the seed decides
it, stratified 80/20. Then the frozen backbone of the finished model gives features of every image,
by the functions that `zoo predict` uses, and `LogisticRegression` is trained on the same training
images. Its C is the best of 13 values from 1e-4 to 1e2 by stratified five-fold cross-validation on
the training part (features scaled to unit root mean square, as zoo's head sees them; L-BFGS, at
most 5000 iterations), after which it is fitted to the whole part. The probe has no such choice: its
settings are zoo's defaults, and its weights those of the last epoch.

Printed are both accuracies, both macro F1, and the paired difference in points (hundredths), and
last both accuracies again, with 95 % intervals. For one split these are over its images (normal for
the difference, Wilson's for an accuracy), for several over the seeds (Student's t). Splits of the
same images overlap, so the latter are somewhat too narrow.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist, fmean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

import zoo
from zoo.data.preprocess import file_pixels
from zoo.history import wilson
from zoo.progress import Silent
from zoo.settings import assignments
from zoo.training.feeds import pixel_features
from zoo.training.predictor import Predictor, head_logits

if TYPE_CHECKING:
    from collections.abc import Sequence

PENALTIES = np.logspace(-4, 2, 13).tolist()
FOLDS = 5
#: the mean difference, in points, that the defaults are held to
ACCEPTED = -0.5
#: types unstated: the stubs at hand know neither numpy's arrays nor the newest arguments
LOGISTIC: Any = LogisticRegressionCV
F1: Any = f1_score


@dataclass(frozen=True, slots=True)
class Outcome:
    """One seed: answers of both, and what was right.

    Args:
        seed: of the run and of the folds.
        target: class indices `[n]` of the judged split.
        ours: zoo's answers.
        theirs: logistic regression's.
        penalty: the C that the folds chose.
    """

    seed: int
    target: np.ndarray
    ours: np.ndarray
    theirs: np.ndarray
    penalty: float

    def accuracies(self) -> tuple[float, float]:
        """Zoo's and logistic regression's, 0..1."""
        return accuracy(self.target, self.ours), accuracy(self.target, self.theirs)

    def macro_f1s(self) -> tuple[float, float]:
        """Likewise, 0..1."""
        return (
            float(F1(self.target, self.ours, average="macro")),
            float(F1(self.target, self.theirs, average="macro")),
        )

    def difference(self) -> tuple[float, float]:
        """Points between the two accuracies, and half of the 95 % interval over images."""
        paired = 100.0 * ((self.ours == self.target).astype(float) - (self.theirs == self.target))
        return float(paired.mean()), NormalDist().inv_cdf(0.975) * float(
            paired.std(ddof=1) / math.sqrt(len(paired))
        )


class Features:
    """Features of files from a frozen backbone, each computed once for all seeds."""

    def __init__(self, root: Path) -> None:
        """Files are named relative to `root`."""
        self.root = root
        self.known: dict[str, torch.Tensor] = {}

    def of(self, names: Sequence[str], predictor: Predictor) -> torch.Tensor:
        """Scaled features `[n, D]`, as the head of this model sees them."""
        scale = predictor.model.feature_scale
        new = [name for name in names if name not in self.known]
        if new:
            made = np.stack([file_pixels(self.root / name, predictor.preprocess) for name in new])
            found = pixel_features(
                predictor.model.features,
                made,
                np.arange(len(made)),
                predictor.preprocess,
                predictor.device,
                lambda _: None,
            )
            self.known.update(zip(new, found / scale, strict=True))
        return torch.stack([self.known[name] for name in names]) * scale


def accuracy(target: np.ndarray, answers: np.ndarray) -> float:
    """Share of right answers, 0..1, divided as zoo divides."""
    return int((target == answers).sum()) / len(target)


def compare(
    spec: str,
    data: Path,
    seed: int,
    split: str,
    settings: dict[str, object],
    features: Features,
) -> Outcome:
    """A probe and its rival, trained on the same images and judged on the same others."""
    with tempfile.TemporaryDirectory() as folder:
        run = zoo.run(
            spec,
            data,
            out=Path(folder) / "run",
            settings={"train": "probe", **settings, "seed": seed},
            listener=Silent(),
        )
        predictor = run.load()
        files = json.loads((run.folder / "split.json").read_text("utf-8"))["files"]
    place = {name: index for index, name in enumerate(predictor.classes)}
    parts = {
        part: (
            features.of([one["name"] for one in files if one["split"] == part], predictor),
            np.array([place[one["class"]] for one in files if one["split"] == part]),
        )
        for part in ("train", split)
    }
    judged, target = parts[split]
    ours = head_logits(predictor.model, judged).argmax(1).cpu().numpy()
    reported = run.summary[split]["top1"]
    if accuracy(target, ours) != reported:
        message = f"these features give {accuracy(target, ours)}, the run says {reported}"
        raise AssertionError(message)
    theirs, penalty = rival(*parts["train"], judged, seed)
    return Outcome(seed, target, ours, theirs, penalty)


def rival(
    features: torch.Tensor, target: np.ndarray, judged: torch.Tensor, seed: int
) -> tuple[np.ndarray, float]:
    """Tuned logistic regression's answers on `judged`, and its C."""
    smallest = int(np.bincount(target).min())
    model = LOGISTIC(
        Cs=PENALTIES,
        cv=StratifiedKFold(min(FOLDS, smallest), shuffle=True, random_state=seed),
        l1_ratios=(0,),
        scoring="accuracy",
        max_iter=5000,
        use_legacy_attributes=False,
    )
    # The matrices are small: where cores are shared, threads that wait for each other take twenty
    # times as long as one.
    with threadpool_limits(limits=1, user_api="blas"):
        model.fit(features.cpu().numpy(), target)
    return model.predict(judged.cpu().numpy()), float(model.C_)


def told(outcome: Outcome) -> str:
    """A seed as a table row."""
    (ours, theirs), (our_f1, their_f1) = outcome.accuracies(), outcome.macro_f1s()
    points, half = outcome.difference()
    return (
        f"| {outcome.seed} | {100 * ours:.2f} | {100 * theirs:.2f} | {100 * our_f1:.2f} "
        f"| {100 * their_f1:.2f} | {points:+.2f} ± {half:.2f} | {outcome.penalty:.3g} |"
    )


def summed_up(outcomes: Sequence[Outcome]) -> str:
    """The mean over several seeds as a table row."""
    columns = zip(*[(*one.accuracies(), *one.macro_f1s()) for one in outcomes], strict=True)
    means = " | ".join(f"{100 * fmean(column):.2f}" for column in columns)
    points = [one.difference()[0] for one in outcomes]
    return f"| mean | {means} | {fmean(points):+.2f} ± {over_seeds(points):.2f} | |"


def over_seeds(values: Sequence[float]) -> float:
    """Half of the 95 % interval of a mean, by Student's t."""
    return float(student.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))


def with_intervals(outcomes: Sequence[Outcome]) -> str:
    """Both accuracies in percent, each with its 95 % interval."""
    said = []
    for whose, place in (("zoo", 0), ("logistic regression", 1)):
        rates = [one.accuracies()[place] for one in outcomes]
        mean = fmean(rates)
        low, high = wilson(mean, len(outcomes[0].target))
        if len(rates) > 1:
            low, high = mean - over_seeds(rates), mean + over_seeds(rates)
        said.append(f"{whose} {100 * mean:.1f} % ({100 * low:.1f} to {100 * high:.1f})")
    return ", ".join(said)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare on every seed; the exit code is 1 where the mean difference is under -0.5 points."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of labelled images")
    parser.add_argument("--spec", default="efficientnet-lite/lite0+linear+cekl")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--split", choices=("val", "test"), default="val", help="what is judged")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args(arguments)
    print(f"{asked.spec} on {asked.data.name}, judged on {asked.split}\n")
    print("| seed | zoo | logistic | zoo F1 | logistic F1 | difference | C |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    features = Features(asked.data)
    outcomes: list[Outcome] = []
    for seed in asked.seeds:
        given: dict[str, object] = dict(assignments(asked.set))
        outcomes.append(compare(asked.spec, asked.data, seed, asked.split, given, features))
        print(told(outcomes[-1]), flush=True)
    if len(outcomes) > 1:
        print(summed_up(outcomes))
    print(f"\n{with_intervals(outcomes)}")
    return int(fmean(one.difference()[0] for one in outcomes) < ACCEPTED)


if __name__ == "__main__":
    raise SystemExit(main())
