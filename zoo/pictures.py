"""Files → pixels, the same for training and for prediction: one decode and one preprocessing.

A run's pictures are decoded from the moment on at which it is known which they are, while torch is
imported and the model is built. What will be wanted of them is then a guess, since the device has
its say in it: where it was wrong, that costs time and changes nothing.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo import caches, featurestore, folders
from zoo.ahead import Ahead
from zoo.data.ingest import CANVAS_RATIO, Images, ingest, unreadable
from zoo.data.shelves import left_over
from zoo.phases import which

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from zoo.components import Preprocess
    from zoo.data.dataset import Dataset
    from zoo.plan import Plan
    from zoo.progress import Listener
    from zoo.stopping import Stop

Known = Callable[[str, str], bool]

#: what to train → its phases
_PHASES = {"probe": {"probe"}, "full": {"full"}, "lpft": {"probe", "full"}}
#: there where an accelerator's driver is (NVIDIA's, AMD's)
_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/kfd"))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run needs of its N images.

    Args:
        judged: which must be readable `[N]`; those alone are decoded.
        pixels: of which the pixels are needed `[N]`.
        canvas: of which the canvas is needed `[N]`.
    """

    judged: NDArray[np.bool_]
    pixels: NDArray[np.bool_]
    canvas: NDArray[np.bool_]

    def covers(self, other: Wanted) -> bool:
        """Whether this is all that the other is, or more."""
        ours = self.judged, self.pixels, self.canvas
        theirs = other.judged, other.pixels, other.canvas
        return all(bool(np.all(one | ~two)) for one, two in zip(ours, theirs, strict=True))


class Begun:
    """Pictures that are being decoded before anybody asks for them.

    Args:
        plan: not settled yet, or of a run that goes on.
        dataset: its images.
        wanted: what is expected to be wanted of them.
    """

    def __init__(self, plan: Plan, dataset: Dataset, wanted: Wanted) -> None:
        """Begin."""
        self.wanted = wanted
        self._ahead = Ahead[Images](lambda progress: _ingest(plan, dataset, wanted, progress))

    @property
    def done(self) -> int:
        """How many pictures are there."""
        return self._ahead.done

    def images(self, progress: Callable[[int], None]) -> Images:
        """All of them, once they are there; may raise as `zoo.data.ingest` does.

        Args:
            progress: called with how many are there.
        """
        return self._ahead.result(progress)

    def give_up(self) -> None:
        """Decode no more; what was decoded is kept for later runs, as ever."""
        if left := self._ahead.give_up():
            left.close()


@contextmanager
def begun(plan: Plan, dataset: Dataset) -> Iterator[Begun | None]:
    """For the block, decode what the run will probably want; None where that is nothing.

    At the end of the block, however it is left, nothing decodes any more.

    Args:
        plan: as resolved; its data are known and its device is not.
        dataset: its images.
    """
    wanted = _guessed(plan, dataset)
    if not wanted.judged.any():
        yield None
        return
    started = Begun(plan, dataset, wanted)
    try:
        yield started
    finally:
        started.give_up()


def ingested(
    plan: Plan,
    dataset: Dataset,
    known: Known,
    hears: Listener,
    stop: Stop,
    ahead: Begun | None = None,
) -> tuple[Images, Dataset]:
    """Every image that the run must see, decoded once; bad ones refused all together, or skipped.

    Args:
        plan: settled.
        dataset: its images.
        known: says of a split and the SHA-256 of an image whether its features are all that the
            run needs of it, and known already.
        hears: of progress.
        stop: looked at between images.
        ahead: what is being decoded of them already.

    Raises:
        BadData: some cannot be read, and the plan says `refuse`.
    """
    count = len(dataset.splits)
    wanted = _wanted(plan, dataset, {phase.name for phase in plan.phases}, known)
    images = _images(plan, dataset, wanted, hears, stop, ahead)
    if images.animated:
        several = "files hold several frames or pages; the first of each counts"
        hears.note(f"data: {images.animated} {several}")
    if dataset.hashed < count or images.decoded < count:
        hears.note(
            f"data: {count} images, {dataset.hashed} hashed and {images.decoded} decoded, "
            "the others known from before"
        )
    if images.streamed:
        hears.note(
            f"data: {images.streamed} of {count} images do not fit into the cache budget of "
            f"{caches.limit() / 1e9:g} GB or onto its disk, and are decoded when they are needed"
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


def _images(
    plan: Plan,
    dataset: Dataset,
    wanted: Wanted,
    hears: Listener,
    stop: Stop,
    ahead: Begun | None,
) -> Images:
    """What is wanted, from what was begun if that is as much, and told as a stage."""
    if ahead and not (wanted.judged.any() and ahead.wanted.covers(wanted)):
        ahead.give_up()
        ahead = None
    total = int((ahead.wanted if ahead else wanted).judged.sum())
    ready = before = ahead.done if ahead else 0
    if total > ready:
        hears.begin("decode", total - ready, "images")

    def progress(done: int, _total: int = 0) -> None:
        nonlocal before
        stop.check()
        hears.advance(done - before)
        before = done

    images = ahead.images(progress) if ahead else _ingest(plan, dataset, wanted, progress)
    hears.end()
    early = ready - (total - images.decoded)  # less what was kept from an earlier run
    if early > 0:
        loading = "while torch and the network were loaded"
        hears.note(f"data: {early} of {images.decoded} images were decoded {loading}")
    return images


def _wanted(plan: Plan, dataset: Dataset, phases: set[str], known: Known) -> Wanted:
    """What phases of these names need of a plan's images."""
    one_view = plan.kept_views == 1
    cropped = plan["augment"] == "on" and ("full" in phases or not one_view)
    still = plan["augment"] == "off" or ("probe" in phases and one_view)
    both = zip(dataset.splits, dataset.digests, strict=True)
    judged = np.array([not known(split, digest) for split, digest in both], bool)
    training = np.array([split == "train" for split in dataset.splits], bool)
    return Wanted(judged, judged & (~training | still), judged & training & cropped)


def _guessed(plan: Plan, dataset: Dataset) -> Wanted:
    """What will be wanted, as far as that can be told without torch."""
    if plan.phases:  # of a run that goes on
        phases = {phase.name for phase in plan.phases}
    else:
        accelerator, pretrained = (
            probable_accelerator(str(plan["device"])),
            plan.weights.mode != "none",
        )
        phases = _PHASES[which(plan.settings, accelerator=accelerator, pretrained=pretrained)[0]]
    if phases != {"probe"}:
        return _wanted(plan, dataset, phases, lambda _split, _digest: False)
    recipe = featurestore.recipe(plan)
    still = featurestore.probably_known(recipe, dataset.digests, views=False)
    views = still
    if plan.kept_views > 1:
        views = featurestore.probably_known(recipe, dataset.digests, views=True)
    known: Known = lambda split, digest: digest in (views if split == "train" else still)  # noqa: E731
    return _wanted(plan, dataset, phases, known)


def probable_accelerator(wanted: str) -> bool:
    """Whether the device will be one, by its name or by what lies about."""
    if wanted != "auto":
        return wanted != "cpu"
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1"}
    return not hidden and any(driver.exists() for driver in _DRIVERS)


def _ingest(
    plan: Plan, dataset: Dataset, wanted: Wanted, progress: Callable[[int, int], None]
) -> Images:
    """Decode what is wanted, at once."""
    places = np.flatnonzero(wanted.judged)
    digests = [dataset.digests[place] for place in places]
    return _read(plan, dataset, places, wanted, progress, digests).spread(
        places, len(dataset.splits)
    )


def sampled(
    plan: Plan,
    dataset: Dataset,
    places: NDArray[np.int64],
    progress: Callable[[int, int], None],
) -> Images:
    """Some of a plan's images as its phases want them, decoded now, whatever is kept.

    Nothing of them is kept either.
    """
    phases = {phase.name for phase in plan.phases}
    wanted = _wanted(plan, dataset, phases, lambda _split, _digest: False)
    return _read(plan, dataset, places, wanted, progress)


def streamed(plan: Plan, dataset: Dataset) -> dict[str, float]:
    """By phase, the share of its training images that there is no room to keep.

    They are decoded in each of its epochs, and not once.
    """
    phases, rows = {phase.name for phase in plan.phases}, dataset.rows("train")
    known: Known = lambda _split, _digest: False  # noqa: E731
    all_of_it = _wanted(plan, dataset, phases, known)
    wants = all_of_it.pixels, all_of_it.canvas
    left = left_over(plan.preprocess, _canvas_side(plan), wants, dataset.digests)

    def share(phase: str) -> float:
        wanted = _wanted(plan, dataset, {phase}, known)
        missing = (wanted.pixels & left[0]) | (wanted.canvas & left[1])
        return float(missing[rows].mean())

    return {phase: share(phase) for phase in phases}


def _canvas_side(plan: Plan) -> int:
    return round(CANVAS_RATIO * max(plan.preprocess.size))


def _read(
    plan: Plan,
    dataset: Dataset,
    places: NDArray[np.int64],
    wanted: Wanted,
    progress: Callable[[int, int], None],
    digests: Sequence[str] = (),
) -> Images:
    """Decode the images at these places; with their hashes, what is decoded is kept."""
    paths = [dataset.table.rows[place].path for place in places]
    images = ingest(
        # Wherever the process is while it decodes: a plugin that is imported may be astray.
        [path.absolute() for path in paths],
        preprocess=plan.preprocess,
        want_pixels=wanted.pixels[places].tolist(),
        want_canvas=wanted.canvas[places].tolist(),
        canvas_side=_canvas_side(plan),
        scratch=folders.cache() / caches.SCRATCH,
        digests=digests,
        jobs=plan["workers"] or None,
        progress=progress,
    )
    named = (replace(problem, path=paths[problem.index]) for problem in images.problems)
    images.problems = tuple(named)
    return images


def decoded(paths: Sequence[Path], preprocess: Preprocess) -> Images:
    """The pixels of files as prediction sees them; unreadable ones are among its problems."""
    return ingest(
        paths,
        preprocess=preprocess,
        want_pixels=[True] * len(paths),
        want_canvas=[False] * len(paths),
        canvas_side=1,
        scratch=folders.cache() / caches.SCRATCH,
    )
