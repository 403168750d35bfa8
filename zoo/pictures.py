"""Files → pixels, for runs and for prediction alike: one decode and one preprocessing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from zoo import folders
from zoo.data.ingest import CANVAS_RATIO, Images, ingest, unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from zoo.components import Preprocess
    from zoo.data.dataset import Dataset
    from zoo.plan import Plan
    from zoo.progress import Listener
    from zoo.stopping import Stop

Known = Callable[[str, str], bool]


def ingested(
    plan: Plan, dataset: Dataset, known: Known, hears: Listener, stop: Stop
) -> tuple[Images, Dataset]:
    """Every image that the run must see, decoded once; bad ones refused all together, or skipped.

    Args:
        plan: settled.
        dataset: its images.
        known: says of a split and the SHA-256 of an image whether its features are all that the
            run needs of it, and known already.
        hears: of progress.
        stop: looked at between images.

    Raises:
        BadData: some cannot be read, and the plan says `refuse`.
    """
    wanted = np.array(
        [not known(*one) for one in zip(dataset.splits, dataset.digests, strict=True)], bool
    )
    places = np.flatnonzero(wanted)
    images = _ingest(plan, dataset, places, hears, stop).spread(places, len(wanted))
    if images.animated:
        several = "files hold several frames or pages; the first of each counts"
        hears.note(f"data: {images.animated} {several}")
    if dataset.hashed < len(wanted) or images.decoded < len(wanted):
        hears.note(
            f"data: {len(wanted)} images, {dataset.hashed} hashed and {images.decoded} decoded, "
            "the others known from before"
        )
    if not images.problems:
        return images, dataset
    if plan["bad_images"] == "refuse":
        images.close()
        raise unreadable(images.problems)
    bad = {problem.index: problem.reason for problem in images.problems}
    hears.note(f"data: images that cannot be read and are skipped, {len(bad)} in all:")
    for problem in images.problems:
        hears.note(f"  {problem.path}: {problem.reason}")
    return images.without(bad), dataset.skipping(bad.items())


def _ingest(
    plan: Plan, dataset: Dataset, places: NDArray[np.int64], hears: Listener, stop: Stop
) -> Images:
    """Some of a plan's images, as its phases want them."""
    want_pixels, want_canvas = _wanted(plan, [dataset.splits[place] for place in places])
    hears.begin("decode", len(places), "images")
    before = 0

    def progress(done: int, total: int) -> None:
        nonlocal before
        del total
        stop.check()
        hears.advance(done - before)
        before = done

    images = ingest(
        [dataset.table.rows[place].path for place in places],
        preprocess=plan.preprocess,
        want_pixels=want_pixels,
        want_canvas=want_canvas,
        canvas_side=_canvas_side(plan),
        scratch=folders.cache() / "scratch",
        digests=[dataset.digests[place] for place in places],
        jobs=plan["workers"] or None,
        progress=progress,
    )
    hears.end()
    return images


def _wanted(plan: Plan, splits: Sequence[str]) -> tuple[list[bool], list[bool]]:
    """Whose pixels, and whose canvas, the plan's phases want of images of these splits."""
    phases = {phase.name for phase in plan.phases}
    one_view = plan.kept_views == 1
    cropped = plan["augment"] == "on" and ("full" in phases or not one_view)
    still = plan["augment"] == "off" or ("probe" in phases and one_view)
    training = [split == "train" for split in splits]
    return [not one or still for one in training], [one and cropped for one in training]


def _canvas_side(plan: Plan) -> int:
    return round(CANVAS_RATIO * max(plan.preprocess.size))


def sampled(plan: Plan, paths: Sequence[Path], progress: Callable[[int, int], None]) -> Images:
    """Some training images, as the plan's phases want them: decoded now, whatever is kept.

    Nothing of them is kept either.
    """
    want_pixels, want_canvas = _wanted(plan, ["train"] * len(paths))
    return ingest(
        paths,
        preprocess=plan.preprocess,
        want_pixels=want_pixels,
        want_canvas=want_canvas,
        canvas_side=_canvas_side(plan),
        scratch=folders.cache() / "scratch",
        jobs=plan["workers"] or None,
        progress=progress,
    )


def decoded(paths: Sequence[Path], preprocess: Preprocess) -> Images:
    """The pixels of files as prediction sees them; unreadable ones are among its problems."""
    return ingest(
        paths,
        preprocess=preprocess,
        want_pixels=[True] * len(paths),
        want_canvas=[False] * len(paths),
        canvas_side=1,
        scratch=folders.cache() / "scratch",
    )
