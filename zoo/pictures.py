"""Files → pixels, for runs and for prediction alike: one decode and one preprocessing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo import folders
from zoo.data.ingest import Images, ingest, unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from zoo.components import Preprocess
    from zoo.data.dataset import Dataset
    from zoo.plan import Plan
    from zoo.progress import Listener
    from zoo.stopping import Stop

#: pictures that views are cropped from are stored this much larger than the input
_CANVAS_RATIO = 1.5


def ingested(plan: Plan, dataset: Dataset, hears: Listener, stop: Stop) -> tuple[Images, Dataset]:
    """Every image decoded once; bad ones refused all together, or skipped."""
    training = [split == "train" for split in dataset.splits]
    phases = {phase.name for phase in plan.phases}
    one_view = plan.kept_views == 1
    cropped = plan["augment"] == "on" and ("full" in phases or not one_view)
    still = plan["augment"] == "off" or ("probe" in phases and one_view)
    paths = [row.path for row in dataset.table.rows]
    hears.begin("decode", len(paths), "images")
    before = 0

    def progress(done: int, total: int) -> None:
        nonlocal before
        del total
        stop.check()
        hears.advance(done - before)
        before = done

    images = ingest(
        paths,
        preprocess=plan.preprocess,
        want_pixels=[not one or still for one in training],
        want_canvas=[one and cropped for one in training],
        canvas_side=round(_CANVAS_RATIO * max(plan.preprocess.size)),
        scratch=folders.cache() / "scratch",
        jobs=plan["workers"] or None,
        progress=progress,
    )
    hears.end()
    if not images.problems:
        return images, dataset
    if plan["bad_images"] == "refuse":
        images.close()
        raise unreadable(images.problems)
    bad = [problem.index for problem in images.problems]
    hears.note(f"data: {len(bad)} images cannot be read and are skipped:")
    for problem in images.problems:
        hears.note(f"  {problem.path}: {problem.reason}")
    return images.without(bad), dataset.without(bad)


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
