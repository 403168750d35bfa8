"""Features of a session's images: those that a probe trains on, and those that validate."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from zoo.data import augment
from zoo.data.ingest import cores
from zoo.training.feeds import ImageFeed, pixel_features, view_features
from zoo.training.model import fingerprint, freeze

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from zoo.plan import Plan
    from zoo.training.session import Session

#: the views whose features a probe keeps are those of no particular run
_VIEWS_SEED = 0
#: training images whose features set the feature scale where no probe computes all of them
_SCALE_IMAGES = 256


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
        feed = image_feed(session)
        count = min(_SCALE_IMAGES, session.plan.counts.images)  # type: ignore[union-attr]
        _scale_by(session, view_features(model, feed, count, 1, lambda _: session.pause()))
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
        feed = image_feed(session, seed=_VIEWS_SEED, phase="kept views")
        found = view_features(session.model, feed, len(rows), kept, progress)
    session.listener.end()
    return found


def split_features(session: Session, split: str, *, told: bool = True) -> Tensor:
    """Scaled features `[n, D]` of a split's validation pixels, in the order of its rows.

    Args:
        session: see there; its model is put into eval mode.
        split: `val` or `test`.
        told: whether the listener hears of it as a stage of its own.
    """
    rows = session.dataset.rows(split)
    progress = _counted(session, f"{split} features", len(rows)) if told else None
    found = pixel_features(
        session.model.eval(),
        session.images.pixels,
        session.images.pixels_row[rows],
        session.plan.preprocess,
        session.device,
        progress or (lambda _: session.pause()),
    )
    if told:
        session.listener.end()
    return found


def _counted(session: Session, stage: str, total: int) -> Callable[[int], None]:
    session.listener.begin(stage, total, "images")

    def progress(count: int) -> None:
        session.listener.advance(count)
        session.pause()

    return progress


def image_feed(session: Session, *, seed: int | None = None, phase: str = "full") -> ImageFeed:
    """Views of the training images, drawn for a phase from the run's seed or another."""
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
