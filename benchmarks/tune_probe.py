"""Compares settings of a probe by cross-validation inside the training part.

::

    python benchmarks/tune_probe.py --data FOLDER [--spec SPEC] [--seed 0] [--folds 5]
        [--try KEY=V1,V2,... ...] [--set key=value ...]

Every combination of the values of `--try` (names of `zoo.settings`, such as `weight_decay` and
`lr`) is trained on four fifths of the training part and judged on the last fifth, five times over;
the validation and test parts are never looked at. What is not named is zoo's default for that many
images. The folds are the same for all combinations, so a row is compared with the others pairwise:
the last column is the difference to the first row in points, with a 95 % interval over the images
(normal). It is how the numbers in `zoo/phases.py` are checked.

Features are computed once, and kept as those of runs are. The judged ones are those of unchanged
images, as in validation, also where the head trains on augmented views.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import math
import tempfile
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from sklearn.model_selection import StratifiedKFold

from zoo import fetch
from zoo.draft import makers, prepare
from zoo.options import read
from zoo.phases import decide
from zoo.pictures import ingested
from zoo.progress import Silent
from zoo.settings import SETTINGS, assignments
from zoo.stopping import Stop
from zoo.training import fit, threads
from zoo.training.assemble import build_model
from zoo.training.features import set_scale, stores
from zoo.training.predictor import head_logits
from zoo.training.session import Session
from zoo.training.train import head_context
from zoo.training.train import prepare as prepare_phase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from zoo.components import Value


@dataclass(frozen=True, slots=True)
class Bench:
    """What every combination is trained and judged with.

    Args:
        session: a probe that is ready to be trained.
        start: the state that its head begins with.
        judged: unscaled features `[n, D]` of the unchanged training images.
        targets: class indices `[n]`.
    """

    session: Session
    start: Mapping[str, torch.Tensor]
    judged: torch.Tensor
    targets: np.ndarray


def open_session(spec: str, data: Path, given: Mapping[str, object]) -> Session:
    """A probe with its features computed, and nothing trained."""
    draft = prepare(spec, {**given, "train": "probe", "data": str(data)})
    plan, source = draft.plan, draft.plan.weights
    weights = fetch.fetch_file(source.source, source.sha256, progress=lambda _done, _total: None)
    images, dataset = ingested(plan, draft.dataset, lambda _split, _digest: False, Silent(), Stop())
    trio = makers(plan)
    model = build_model(trio[:2], weights, head_context(plan, draft.proof), int(plan["seed"]))
    session = Session(
        plan=plan,
        model=model.to(draft.device.torch).to(memory_format=draft.device.memory_format),
        makers=trio,
        proof=draft.proof,
        dataset=dataset,
        images=images,
        device=draft.device,
        listener=Silent(),
        pause=lambda: None,
        checkpoints=Path(tempfile.gettempdir()),
        seals={},
        wants_save=lambda: False,
        stores=stores(plan, model),
    )
    with closing(images):
        set_scale(session)
    return session


def open_bench(spec: str, data: Path, given: Mapping[str, object]) -> Bench:
    """The session of a spec, and the features that its folds are judged by."""
    session = open_session(spec, data, given)
    still = session
    if session.plan.kept_views > 1:
        # A head that trains on views is judged on images as they are: one more session sees those.
        backbone, _, _ = spec.split("+")
        still = open_session(f"{backbone}+linear+ce", data, given)
    return Bench(
        session,
        copy.deepcopy(session.model.head.state_dict()),
        still.features["train"][:, 0] / still.model.feature_scale,
        session.dataset.targets[session.dataset.rows("train")],
    )


def folded(bench: Bench, held: np.ndarray, given: Mapping[str, Value]) -> fit.Task:
    """The probe on all training images but the held ones."""
    session, plan = bench.session, bench.session.plan
    rows = session.dataset.rows("train")
    splits = np.full(len(session.dataset.splits), "unused", object)
    kept = np.delete(np.arange(len(rows)), held)
    splits[rows[kept]] = "train"
    dataset = session.dataset.with_splits(tuple(splits))
    assert plan.counts is not None  # noqa: S101 - settled by its draft
    counts = replace(plan.counts, train=dataset.counts("train"), val=0, test=0)
    (phase,) = decide(
        {**plan.settings, **given},
        images=counts.images,
        accelerator=session.device.accelerator,
        pretrained=True,
        layout=plan.backbone.component.facts.layout,
        has_val=False,
        features=plan.backbone.component.facts.features,
    )
    session.model.head.load_state_dict(bench.start)
    part = replace(
        session,
        plan=replace(plan, counts=counts, phases=(phase,), settings={**plan.settings, **given}),
        dataset=dataset,
        features={"train": session.features["train"][kept]},
    )
    return prepare_phase(part, phase)


def right(bench: Bench, folds: Sequence[np.ndarray], given: Mapping[str, Value]) -> np.ndarray:
    """Whether each training image is answered rightly by the probe that did not see it, `[n]`."""
    found = np.zeros(len(bench.targets))
    for held in folds:
        task = folded(bench, held, given)
        with threads.suited(bench.session.model.head):
            for _ in fit.run(
                task,
                after_step=lambda: None,
                progress=lambda _count, _loss: None,
                name_samples=lambda samples: [f"training row {sample}" for sample in samples],
            ):
                pass
        model = bench.session.model
        logits = head_logits(model, bench.judged[held] * model.feature_scale)
        found[held] = logits.argmax(1).cpu().numpy() == bench.targets[held]
    return found


def combinations(texts: Sequence[str]) -> list[dict[str, Value]]:
    """`["lr=1,2", "epochs=3"]` → `[{"lr": 1.0, "epochs": 3}, {"lr": 2.0, "epochs": 3}]`."""
    tried = {
        name: [read(SETTINGS[name], value) for value in values.split(",")]
        for name, values in assignments(texts).items()
    }
    return [dict(zip(tried, values, strict=True)) for values in itertools.product(*tried.values())]


def told(given: Mapping[str, Value], found: np.ndarray, first: np.ndarray) -> str:
    """A combination as a table row."""
    points = 100.0 * (found - first)
    half = NormalDist().inv_cdf(0.975) * float(points.std(ddof=1)) / math.sqrt(len(points))
    named = " ".join(f"{name}={value}" for name, value in given.items()) or "defaults"
    return f"| {named} | {100 * found.mean():.2f} | {points.mean():+.2f} ± {half:.2f} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge every combination; the first is what the others are compared with."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of labelled images")
    parser.add_argument("--spec", default="efficientnet-lite/lite0+linear+cekl")
    parser.add_argument("--seed", type=int, default=0, help="of the split, the folds and the probe")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--try", dest="tried", action="append", default=[], metavar="KEY=V,V,...")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args(arguments)
    wanted = combinations(asked.tried)
    bench = open_bench(asked.spec, asked.data, {**assignments(asked.set), "seed": asked.seed})
    cut = StratifiedKFold(asked.folds, shuffle=True, random_state=asked.seed)
    folds = [held for _, held in cut.split(bench.targets, bench.targets)]
    print(f"{asked.spec} on the training part of {asked.data.name}, {len(bench.targets)} images\n")
    print("| settings | top-1 | to the first |")
    print("| --- | --- | --- |")
    first: np.ndarray | None = None
    for given in wanted:
        found = right(bench, folds, given)
        first = found if first is None else first
        print(told(given, found, first), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
