"""A run's phases, one after the other, from a built model to its scores."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.contracts import HeadContext, LossContext
from zoo.data import augment
from zoo.data.ingest import Images, cores
from zoo.training import checkpoints, fit, optimise
from zoo.training.assemble import Maker, Proof, build_loss
from zoo.training.evaluate import Scores, quick_scores, score
from zoo.training.feeds import FeatureFeed, Feed, ImageFeed, pixel_features, view_features
from zoo.training.model import Model, fingerprint, freeze, thaw
from zoo.training.order import class_weights
from zoo.training.predictor import head_logits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np

    from zoo.data.dataset import Dataset
    from zoo.history import EpochRecord
    from zoo.phases import PhasePlan
    from zoo.plan import Plan
    from zoo.progress import Listener
    from zoo.stopping import Stop
    from zoo.training.device import Device

#: the views whose features a probe keeps are those of no particular run
_VIEWS_SEED = 0
#: training images whose features set the feature scale where no probe computes all of them
_SCALE_IMAGES = 256


@dataclass(slots=True)
class Session:
    """Everything that the phases of a run share.

    Args:
        plan: settled.
        model: on the device.
        makers: backbone, head, loss.
        proof: what they turned out to be.
        dataset: rows and splits.
        images: their pixels; rows of the dataset and of these are the same.
        device: where to compute.
        listener: hears how it goes.
        stop: asked to stop?
        checkpoints: folder for them.
        extras: what the engine computed for the loss, `[n_train, ...]` each, in training order.
    """

    plan: Plan
    model: Model
    makers: tuple[Maker, Maker, Maker]
    proof: Proof
    dataset: Dataset
    images: Images
    device: Device
    listener: Listener
    stop: Stop
    checkpoints: Path
    extras: dict[str, Tensor] = field(default_factory=dict)
    clock: dict[str, float] = field(default_factory=dict)
    frozen: dict[str, Any] = field(default_factory=dict)
    phases: list[dict[str, Any]] = field(default_factory=list)
    features: dict[str, Tensor] = field(default_factory=dict)
    _saved: float = field(default_factory=time.monotonic)

    @property
    def seed(self) -> int:
        """Of the run."""
        return int(self.plan["seed"])

    def timed(self, name: str, since: float) -> None:
        """Add to a stage's seconds."""
        self.clock[name] = round(self.clock.get(name, 0.0) + time.perf_counter() - since, 3)


def train(
    session: Session,
    *,
    append: Callable[[EpochRecord], None],
    resumed: tuple[dict[str, Any], Path] | None = None,
) -> None:
    """Carry out the plan's phases; afterwards the session's model is the finished one.

    Args:
        session: see there.
        append: takes each epoch's record.
        resumed: a checkpoint's position and folder, to go on from.

    Raises:
        Diverged: a loss is not finite.
        Stopped: somebody asked; a checkpoint is saved.
    """
    first = int(resumed[0]["phase"]) if resumed else 0
    records = int(resumed[0]["records"]) if resumed else 0
    set_scale(session)
    for index, phase in enumerate(session.plan.phases):
        if index < first:
            continue
        started = time.perf_counter()
        task = prepare(session, phase)
        if resumed and index == first:
            checkpoints.restore(task, resumed[1], resumed[0])
            resumed = None
        records = _carry_out(session, task, index, records, append)
        session.timed(phase.name, started)


def set_scale(session: Session) -> None:
    """Fix the feature scale, and in a run that begins with a probe compute its features."""
    started = time.perf_counter()
    model = session.model
    freeze(model)
    if session.plan.phases[0].name == "probe":
        session.frozen = {"before": fingerprint(model.backbone)}
        session.features["train"] = _train_features(session)
        _scale_by(session, session.features["train"])
        session.features["train"] = session.features["train"] * model.feature_scale
        session.features["val"] = split_features(session, "val")
    else:
        feed = _image_feed(session)
        count = min(_SCALE_IMAGES, session.plan.counts.images)  # type: ignore[union-attr]
        _scale_by(session, view_features(model, feed, count, 1, lambda _: session.stop.check()))
    session.timed("features", started)


def _scale_by(session: Session, features: Tensor) -> None:
    size = float(features.double().square().mean().sqrt())
    session.model.feature_scale.fill_(1 / size if size > 0 else 1.0)


def _train_features(session: Session) -> Tensor:
    """Features `[n, K, D]` of the training part, before scaling."""
    rows = session.dataset.rows("train")
    kept = session.plan.kept_views
    progress = _counted(session, "features", len(rows) * kept)
    if kept == 1:
        found = pixel_features(
            session.model,
            session.images.pixels,
            session.images.pixels_row[rows],
            session.plan.preprocess,
            session.device,
            progress,
        )[:, None]
    else:
        feed = _image_feed(session, seed=_VIEWS_SEED, phase="kept views")
        found = view_features(session.model, feed, len(rows), kept, progress)
    session.listener.end()
    return found


def split_features(session: Session, split: str) -> Tensor:
    """Scaled features `[n, D]` of a split's validation pixels, in the order of its rows."""
    rows = session.dataset.rows(split)
    progress = _counted(session, f"{split} features", len(rows))
    found = pixel_features(
        session.model.eval(),
        session.images.pixels,
        session.images.pixels_row[rows],
        session.plan.preprocess,
        session.device,
        progress,
    )
    session.listener.end()
    return found


def _counted(session: Session, stage: str, total: int) -> Callable[[int], None]:
    session.listener.begin(stage, total, "images")

    def progress(count: int) -> None:
        session.stop.check()
        session.listener.advance(count)

    return progress


def _image_feed(session: Session, *, seed: int | None = None, phase: str = "full") -> ImageFeed:
    plan = session.plan
    return ImageFeed(
        images=session.images,
        rows=session.dataset.rows("train"),
        recipe=recipe(plan),
        preprocess=plan.preprocess,
        views=plan.views,
        seed=session.seed if seed is None else seed,
        device=session.device,
        phase=phase,
        threads=cores(),
    )


def recipe(plan: Plan) -> augment.Recipe | None:
    """The augmentation of training images; None without any."""
    if plan["augment"] == "off":
        return None
    jitter = float(plan["augment.jitter"])
    return augment.Recipe(
        crop_min=float(plan["augment.crop_min"]),
        flip=float(plan["augment.flip"]),
        brightness=jitter,
        contrast=jitter,
        saturation=jitter,
    )


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
    if not probing:
        thaw(model, norms_still=phase.freeze_bn)
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
    feed: Feed = (
        FeatureFeed(session.features["train"], plan.views, session.seed)
        if probing
        else _image_feed(session)
    )
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
            forward=model.head if probing else lambda images: model(images, plan.views),
            loss=loss,
            blame=session.makers[2],
            groups=groups,
            device=device,
        ),
        feed=feed,
        targets=targets,
        weights=class_weights(targets) if plan["balance"] == "weights" else None,
        extras=session.extras,
        validate=_validation(session, probing=probing),
        optimizer=optimise.build(groups, how),
    )


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
            session.features["val"] = split_features(session, "val")
        return quick_scores(
            head_logits(session.model, session.features["val"], session.device), target
        )

    return validate


def _carry_out(
    session: Session,
    task: fit.Task,
    index: int,
    records: int,
    append: Callable[[EpochRecord], None],
) -> int:
    """Run one phase; returns how many records there are afterwards."""
    phase = task.phase
    counts = session.plan.counts
    per_epoch = counts.images if counts else 0
    written = records

    def after_step(now: fit.Task) -> None:
        due = time.monotonic() - session._saved >= float(session.plan["checkpoint.seconds"])  # noqa: SLF001 - this module's own
        if due or session.stop.signal is not None:
            checkpoints.save_checkpoint(
                session.checkpoints, now, phase_index=index, records=written
            )
            session._saved = time.monotonic()  # noqa: SLF001 - this module's own
        session.stop.check()

    if phase.name == "full":
        session.listener.begin("full", per_epoch * (phase.epochs - task.position.epoch), "images")
    for record in fit.run(
        task,
        after_step=after_step,
        progress=lambda count, loss: (
            session.listener.advance(count, loss=loss) if phase.name == "full" else None
        ),
        name_samples=lambda samples: _names(session, samples),
    ):
        append(record)
        written += 1
        session.listener.epoch(record, phase.epochs)
    if phase.name == "full":
        session.listener.end()
    session.phases.append(_account(session, task))
    if phase.name == "probe":
        after = fingerprint(session.model.backbone)
        session.frozen |= {"after": after, "verified": after == session.frozen["before"]}
    checkpoints.save_checkpoint(session.checkpoints, task, phase_index=index, records=written)
    return written


def _names(session: Session, samples: np.ndarray) -> str:
    rows = session.dataset.rows("train")[samples[:8]]
    named = ", ".join(session.dataset.table.rows[row].name for row in rows)
    return f"{named}{' ...' if len(samples) > 8 else ''}"  # noqa: PLR2004 - a line's worth


def _account(session: Session, task: fit.Task) -> dict[str, Any]:
    """What summary.json says of a phase."""
    position, phase = task.position, task.phase
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
    }


def final_scores(session: Session) -> dict[str, Scores | None]:
    """Validation and test scores of the finished model, test being looked at here only."""
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
            session.features["val"] if split == "val" and probed else split_features(session, split)
        )
        target = torch.from_numpy(session.dataset.targets[rows])
        found[split] = score(head_logits(session.model, features, session.device), target)
    session.timed("evaluation", started)
    return found


def head_context(plan: Plan, proof: Proof) -> HeadContext:
    """What the head is built for."""
    assert plan.counts is not None  # noqa: S101 - settled before
    return HeadContext(features=proof.features, classes=len(plan.counts.classes), views=plan.views)


def description(device: Device) -> Mapping[str, Any]:
    """As plan.json and summary.json have it."""
    return {
        "name": device.name,
        "title": device.title,
        "precision": device.precision,
        "channels_last": device.channels_last,
        "reasons": list(device.reasons),
        "torch": torch.__version__,
    }
