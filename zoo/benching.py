"""The way of a benchmark: how fast a spec would train on some data, on this machine, and why.

It goes the way of a run as far as the built model, then repeats the run's own work in timed blocks.
It leaves no run folder, and of what it decodes nothing is kept.
"""

from __future__ import annotations

import math
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo import caches, corridor, ending, hot, pictures, speed, stopping, weights
from zoo.data.ingest import FEW, children, unreadable
from zoo.draft import makers, prepare
from zoo.errors import UsageError
from zoo.progress import Lines, Listener

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.data.ingest import Images
    from zoo.draft import Draft
    from zoo.training.model import Model
    from zoo.training.session import Session

#: that each measurement takes, about
SECONDS = 3.0
#: blocks that decoding is measured in
_BLOCKS = 5
#: a child decodes so many files in a first, short measurement, times FEW
_TRIAL = 4
#: images that stand for all, at most: decoded, a thousand of them are some 0.5 GB
_SAMPLE = 1024
#: a first measurement that has decoded this share of the sample is not done again
_ENOUGH = 0.5


def bench(
    spec: str,
    data: str | Path | None = None,
    *,
    seconds: float = SECONDS,
    registry_file: Path | None = None,
    listener: Listener | None = None,
    settings: Mapping[str, object] | None = None,
    **more: object,
) -> speed.Bench:
    """Measure how fast a run would be, and what would hold it up.

    Args:
        spec: `backbone+head+loss`, or an entry's name.
        data: folder or table of labelled images; `demo` for the drawn set.
        seconds: that each measurement takes, about; longer where a step does.
        registry_file: one more registry.toml.
        listener: hears how it goes; plain lines on standard error when None.
        settings: by name, dotted ones too, as for `zoo.run`.
        more: the same for names without a dot.

    Returns:
        Rates in images a second, and the verdict.

    Raises:
        ZooError: as for `zoo.run`.
    """
    if not 0 < seconds < math.inf:
        raise UsageError(f"seconds = {seconds}: a measurement takes some seconds.")
    hears = listener or Lines()
    given = {**(settings or {}), **more, **({} if data is None else {"data": str(data)})}
    with stopping.listening() as stop, ending.explained(), caches.usable(hears.note):
        draft = prepare(spec, given, registry_file=registry_file, listener=hears, pause=stop.check)
        try:
            model = corridor.placed_model(draft, weights.file_of(draft.plan, hears, stop.check))
            images, decode = _decoded(draft, seconds, hears, stop)
            with closing(images):
                usable = len(images.sizes)
                session = _session(draft, model, images, hears, stop)
                stages, probe = hot.room("blocks").stages(session, seconds)
            shares = pictures.streamed(draft.plan, draft.dataset)
        finally:
            hears.end()  # a stage that was cut short
    stages = tuple(
        stage.streaming(
            shares["probe" if stage.name == "features" else stage.name],
            decode,
            beside=draft.device.accelerator,
        )
        for stage in stages
    )
    verdicts = [speed.judge(stage, known) for stage in stages for known in (None, decode)]
    return speed.Bench(
        spec=draft.plan.spec,
        device=dict(draft.plan.device),
        images=len(draft.dataset.rows("train")),
        sample=usable,
        size=draft.plan.preprocess.size,
        views=draft.plan.views,
        decode=decode,
        stages=stages,
        probe=probe,
        verdicts=tuple(verdicts),
    )


def _decoded(
    draft: Draft, seconds: float, hears: Listener, stop: stopping.Stop
) -> tuple[Images, speed.Rate]:
    """A sample of the training images, and how fast it was decoded.

    A short trial tells how large a sample is decoded in the time; where it is the sample already,
    no file is read twice.
    """
    rows = draft.dataset.rows("train")
    trial = min(len(rows), _TRIAL * FEW * children(_SAMPLE, draft.plan["workers"] or None))
    images, decode = _sample(draft, rows[_spread(len(rows), trial)], hears, stop)
    wanted = min(len(rows), _SAMPLE, round(decode.median * seconds))
    if trial >= _ENOUGH * wanted:
        return images, decode
    images.close()
    return _sample(draft, rows[_spread(len(rows), wanted)], hears, stop)


def _spread(count: int, wanted: int) -> np.ndarray:
    """So many of `count` places, evenly apart."""
    return np.arange(wanted) * count // wanted


def _sample(
    draft: Draft, rows: np.ndarray, hears: Listener, stop: stopping.Stop
) -> tuple[Images, speed.Rate]:
    """Decode the images of some rows; those that cannot be read are refused or left out.

    Raises:
        BadData: some cannot be read, and the plan says `refuse`; or none can.
    """
    events = [(time.perf_counter(), 0)]
    hears.begin("decode", len(rows), "images")

    def progress(done: int, total: int) -> None:
        del total
        stop.check()
        hears.advance(done - events[-1][1])
        events.append((time.perf_counter(), done))

    images = pictures.sampled(draft.plan, draft.dataset, rows, progress)
    hears.end()
    if bad := images.problems:
        if draft.plan["bad_images"] == "refuse" or len(bad) == len(rows):
            images.close()
            raise unreadable(bad)
        hears.note(f"data: {len(bad)} of {len(rows)} images cannot be read and are left out")
        images = images.without([problem.index for problem in bad])
    crew = children(len(rows), draft.plan["workers"] or None)
    return images, speed.Rate.of(speed.laps_of(events, _BLOCKS), batch=1, threads=crew)


def _session(
    draft: Draft, model: Model, images: Images, hears: Listener, stop: stopping.Stop
) -> Session:
    """What a run's session would be, but that a sample of the images stands for all of them."""
    turn = np.arange(len(draft.dataset.splits)) % len(images.sizes)
    built: Session = hot.room("session").Session(
        plan=draft.plan,
        model=model,
        makers=makers(draft.plan),
        proof=draft.proof,
        dataset=draft.dataset,
        images=replace(
            images,
            pixels_row=images.pixels_row[turn],
            canvas_row=images.canvas_row[turn],
            sizes=images.sizes[turn],
        ),
        device=draft.device,
        listener=hears,
        pause=stop.check,
        checkpoints=Path(),  # none is saved
        seals={},
        wants_save=stop.wants_save,
    )
    return built
