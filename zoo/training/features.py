"""Features of a session's images: those that a probe trains on, and those that validate.

Those of a frozen backbone are kept in the user's cache folder (see `zoo.featurestore`): they depend
on the backbone and the image, not on the run.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL
import torch

from zoo import featurestore
from zoo.data import augment, canvas, preprocess, stream
from zoo.data.ingest import CANVAS_RATIO
from zoo.errors import Mismatch
from zoo.featurestore import FeatureStore
from zoo.machine import cores
from zoo.plugins.distributions import sources
from zoo.training.feeds import ImageFeed, feature_batch, pixel_features, view_features
from zoo.training.fold import RULE
from zoo.training.inputs import normalise
from zoo.training.model import fingerprint, freeze
from zoo.training.resident import Resident, Streamed, placed

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from zoo.plan import Plan
    from zoo.training.model import Model
    from zoo.training.session import Session

#: the views whose features a probe keeps are those of no particular run
_VIEWS_SEED = 0
#: training images whose features set the feature scale where no probe computes all of them: their
#: root mean square is known to some hundredths, which no learning rate is
_SCALE_IMAGES = 64
#: features are made durable this often, seconds: what a kill costs at most
_KEEP_SECONDS = 10.0
#: the validation pixels, and fixed augmented views
STILL, VIEWS = "still", "views"


def stores(plan: Plan, model: Model) -> dict[str, FeatureStore]:
    """Where features of the plan's frozen backbone are kept, by kind; none where it is trained."""
    if plan.phases[0].name != "probe":
        return {}
    common: dict[str, Any] = {
        **featurestore.recipe(plan),
        "tensors": fingerprint(model.backbone),
        "folded": RULE if model.folds else "",
        "code": _code(plan),
        "device": _computes(plan),
        "versions": [torch.__version__, PIL.__version__, preprocess.RULE],
    }
    found = {STILL: FeatureStore(common)}
    if plan.kept_views > 1:
        drawn = recipe(plan)
        views: dict[str, Any] = {"kept": plan.kept_views, "canvas": [CANVAS_RATIO, canvas.RULE]}
        views["recipe"] = {"version": augment.VERSION, **asdict(drawn)} if drawn else None
        found[VIEWS] = FeatureStore({**common, "views": views})
    return found


def _code(plan: Plan) -> str:
    """What the backbone's code is known by: its plugin's files and requirements, as installed."""
    found = {source.distribution: source.fingerprint for source in sources()}
    return found.get(plan.backbone.plugin, "")


def _computes(plan: Plan) -> dict[str, Any]:
    """What of a device decides bits: not the words, but what its processor has does."""
    return {name: value for name, value in plan.device.items() if name != "reasons"}


def set_scale(session: Session) -> None:
    """Fix the feature scale, and in a run that begins with a probe compute its features.

    Raises:
        Mismatch: the run goes on with another backbone than it began with.
    """
    started = time.perf_counter()
    model = session.model
    freeze(model)
    if session.plan.phases[0].name == "probe":
        _note_frozen(session)
        session.features["train"] = _train_features(session)
        _scale_by(session, session.features["train"])
        session.features["train"] = session.features["train"] * model.feature_scale
        session.features["val"] = split_features(session, "val", frozen=True)
        if model.folding and model.folding.refused:
            why = f"folding: {model.folding.refused}; the backbone computes as it was built"
            session.listener.note(why)
    else:
        there = len(session.dataset.rows("train"))
        count = min(_SCALE_IMAGES, there)
        # Evenly over all of them, which lie class by class.
        feed, some = image_feed(session, once=True), np.arange(count) * there // count
        feed.begin([some])
        before = model.at_once
        found = view_features(model.features, feed, some, 1)
        _say_pieces(session, "features", before)
        _scale_by(session, found)
    session.timed("features", started)


def _note_frozen(session: Session) -> None:
    """Remember what the frozen backbone is."""
    now = fingerprint(session.model.backbone)
    if session.frozen.setdefault("before", now) != now:
        raise Mismatch(
            f"The weights of {session.plan.backbone.title} are not those that the run began with.",
            hint="Put the weights back, or start a new run with zoo run.",
        )


def _scale_by(session: Session, features: Tensor) -> None:
    size = float(features.double().square_().mean().sqrt())  # of float32: in its one copy
    session.model.feature_scale.fill_(1 / size if size > 0 else 1.0)


def _train_features(session: Session) -> Tensor:
    """Features `[n, K, D]` of the training part, before scaling."""
    kept = session.plan.kept_views
    if kept == 1:
        return _kept_still(session, "train", "features")
    rows, batch = session.dataset.rows("train"), max(1, batch_size(session) // kept)
    return _kept(session, VIEWS, rows, extractor(session), batch, "features")


def extractor(session: Session) -> Callable[[np.ndarray], Tensor]:
    """What computes the features `[b, K, D]` of some training samples `[b]`, before scaling."""
    kept = session.plan.kept_views
    if kept == 1:
        return _still_extractor(session, session.dataset.rows("train"))
    feed = kept_views_feed(session)
    return lambda samples: view_features(session.model.raw_features, feed, samples, kept)


def batch_size(session: Session) -> int:
    """How many images' features are computed at a time."""
    return feature_batch(session.plan.preprocess.size, session.device.memory)


def kept_views_feed(session: Session) -> ImageFeed:
    """The views whose features are kept: the same in every run, data set and split."""
    digests = [session.dataset.digests[row] for row in session.dataset.rows("train")]
    # Named by content, so that a picture's views are its own wherever it lies.
    ids = np.array([int(digest[:15], 16) for digest in digests], np.int64)
    return image_feed(session, seed=_VIEWS_SEED, phase="kept views", ids=ids, once=True)


def still_inputs(session: Session, samples: np.ndarray) -> Tensor:
    """The validation pixels of some training samples, normalised `[b, 3, H, W]`."""
    places = session.images.pixels_row[session.dataset.rows("train")[samples]]
    still = torch.from_numpy(session.images.pixels[places]).permute(0, 3, 1, 2)
    return normalise(still, session.plan.preprocess, session.device)


def split_features(
    session: Session, split: str, *, frozen: bool = False, told: bool = True
) -> Tensor:
    """Scaled features `[n, D]` of a split's validation pixels, in the order of its rows.

    Args:
        session: see there; its model is put into eval mode.
        split: `val` or `test`.
        frozen: whether the backbone is as it was loaded, so that features may be kept.
        told: whether the listener hears of it as a stage of its own.
    """
    session.model.eval()
    stage = f"{split} features"
    if frozen:
        return _kept_still(session, split, stage)[:, 0] * session.model.feature_scale
    rows = session.dataset.rows(split)
    progress = _counted(session, stage, len(rows)) if told else lambda _count: session.pause()
    before = session.model.at_once
    stream.expect(session.images.pixels, session.images.pixels_row[rows])
    found = pixel_features(
        session.model.features,
        session.images.pixels,
        session.images.pixels_row[rows],
        session.plan.preprocess,
        session.device,
        progress,
    )
    if told:
        session.listener.end()
    _say_pieces(session, stage, before)
    return found


def _kept_still(session: Session, split: str, stage: str) -> Tensor:
    """Features `[n, 1, D]` of a split's validation pixels, before scaling."""
    rows = session.dataset.rows(split)
    compute = _still_extractor(session, rows)
    return _kept(session, STILL, rows, compute, batch_size(session), stage)


def _still_extractor(session: Session, rows: np.ndarray) -> Callable[[np.ndarray], Tensor]:
    """What computes features `[b, 1, D]` of the validation pixels of some of these rows."""

    def compute(samples: np.ndarray) -> Tensor:
        return pixel_features(
            session.model.raw_features,
            session.images.pixels,
            session.images.pixels_row[rows[samples]],
            session.plan.preprocess,
            session.device,
            lambda _count: None,
        )[:, None]

    return compute


def _kept(
    session: Session,
    kind: str,
    rows: np.ndarray,
    compute: Callable[[np.ndarray], Tensor],
    batch: int,
    stage: str,
) -> Tensor:
    """Features `[n, K, D]` on the device: those that are kept already, and the rest computed.

    Args:
        session: whose stores to use.
        kind: which of them.
        rows: of the n images in the data set.
        compute: the features `[b, K, D]` of some of the n.
        batch: greatest b.
        stage: what the listener hears of it.
    """
    store = session.stores[kind]
    digests = [session.dataset.digests[row] for row in rows]
    found = store.find(digests)
    missing = np.array([place for place, one in enumerate(digests) if one not in found], int)
    views = session.plan.kept_views if kind == VIEWS else 1
    if found:
        there = len(digests) - len(missing)
        session.listener.note(f"{stage}: {there} of {len(digests)} images from the cache")
    if len(missing):
        session.listener.begin(stage, len(missing) * views, "images")
    fresh: dict[str, np.ndarray] = {}
    before, saved = session.model.at_once, time.monotonic()

    def keep() -> None:
        # In smaller batches kernels round otherwise, and what is kept has the bits of whole ones.
        if fresh and not session.model.at_once:
            store.add(list(fresh), np.stack(list(fresh.values())))

    cropped = kind == VIEWS and recipe(session.plan) is not None
    pictures, stored, _ = _pictures(session, rows[missing], cropped=cropped)
    stream.expect(pictures, stored)
    try:
        for start in range(0, len(missing), batch):
            chosen = missing[start : start + batch]
            made = compute(chosen).cpu().numpy()
            fresh |= {digests[place]: one for place, one in zip(chosen, made, strict=True)}
            session.forwards += len(chosen) * views
            if time.monotonic() - saved >= _KEEP_SECONDS:
                keep()
                found |= fresh
                fresh.clear()
                saved = time.monotonic()
            session.listener.advance(len(chosen) * views)
            session.pause()
    finally:
        keep()
    session.listener.end()
    _say_pieces(session, stage, before)
    found = {**found, **fresh}
    if not digests:
        return torch.empty(0, views, session.proof.features)
    return session.device.tensor_to(torch.from_numpy(np.stack([found[one] for one in digests])))


def _say_pieces(session: Session, stage: str, before: int) -> None:
    """Say that memory ran out while features were computed, if it did."""
    now = session.model.at_once
    if now != before:
        session.listener.note(
            f"memory: {stage} are computed of {now} images at once; their last digits may differ "
            "from those of larger batches, and they are not kept for later runs"
        )


def _counted(session: Session, stage: str, total: int) -> Callable[[int], None]:
    session.listener.begin(stage, total, "images")

    def progress(count: int) -> None:
        session.listener.advance(count)
        session.pause()

    return progress


def image_feed(
    session: Session,
    *,
    seed: int | None = None,
    phase: str = "full",
    ids: np.ndarray | None = None,
    once: bool = False,
) -> ImageFeed:
    """Views of the training images, drawn for a phase from the run's seed or another.

    Args:
        session: see there.
        seed: of the draws; the run's when None.
        phase: name of the stream that draws come from.
        ids: see `ImageFeed`.
        once: whether each picture is asked for once only, so that it need not stay on the device.
    """
    plan, images = session.plan, session.images
    drawn = recipe(plan)
    rows = session.dataset.rows("train")
    stored, places, shapes = _pictures(session, rows, cropped=drawn is not None)
    place = Streamed if once else placed
    pictures = place(stored, places, session.device, shapes)
    if isinstance(pictures, Resident):
        session.listener.note(f"pictures: {len(rows)} stay on the device")
    return ImageFeed(
        pictures=pictures,
        aspects=images.aspects[rows],
        recipe=drawn,
        preprocess=plan.preprocess,
        views=plan.views,
        seed=session.seed if seed is None else seed,
        device=session.device,
        phase=phase,
        threads=cores(),
        ids=ids,
    )


def _pictures(
    session: Session, rows: np.ndarray, *, cropped: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Canvases (`cropped`) or validation pixels, which some of the images have, and their shapes.

    Shapes are (height, width), int64 `[n, 2]`.
    """
    images = session.images
    if cropped:
        return images.canvases, images.canvas_row[rows], images.canvas_shapes[rows]
    shapes = np.tile(np.array(images.pixels.shape[1:3], np.int64), (len(rows), 1))
    return images.pixels, images.pixels_row[rows], shapes


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
