"""Measures what safety costs: checkpoints, the pass that judges the images, and a second run.

::

    python benchmarks/overhead.py --data FOLDER [--spec SPEC] [--epochs N] [--image-size N]
        [--pairs N] [--gates N]

Checkpoints: the same run (whole network, `--train full`), alternately with checkpoints as they are
by default and with none but that of its end; which of the two goes first alternates as well.
Printed are the ratios of the pairs' training seconds, and the share of its time that a run spends
in saving, by a clock around each save: it is free of whatever else the machine does meanwhile.

The gate: the images hashed, then decoded in limited child processes that check each hash and put
their rows into a durable pack (`survey` and `ingest` with an empty cache); against the same
decoding alone, in as many plain processes and into nothing. Files lie in the system's cache.

A second run: the same command again, nothing having changed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import zoo
from zoo.data.dataset import survey
from zoo.data.hashes import Hashes
from zoo.data.ingest import ingest
from zoo.data.preprocess import prepare
from zoo.machine import cores
from zoo.progress import Silent
from zoo.training import checkpoints

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: a run that is worth protecting, seconds: what the gate is a share of
LONG = 300.0
PREPROCESS = zoo.Preprocess(size=(224, 224), resize=(256, 256))
CANVAS_SIDE = 336


class Ear(Silent):
    """Keeps what is said of the data."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.said: list[str] = []

    def note(self, line: str) -> None:
        """See `zoo.progress.Listener`."""
        if line.startswith("data: "):
            self.said.append(line)


@contextmanager
def empty_cache() -> Iterator[None]:
    """A cache folder of its own, for as long as the block lasts."""
    before = os.environ.get("ZOO_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ZOO_CACHE"] = folder
        try:
            yield
        finally:
            del os.environ["ZOO_CACHE"]
            if before:
                os.environ["ZOO_CACHE"] = before


@contextmanager
def timed_saves() -> Iterator[list[float]]:
    """The seconds of each save in the block."""
    seconds: list[float] = []
    save = checkpoints.save_checkpoint

    def timed(*given: Any) -> Path:  # noqa: ANN401 - passed on
        started = time.perf_counter()
        try:
            return save(*given)
        finally:
            seconds.append(time.perf_counter() - started)

    checkpoints.save_checkpoint = timed  # type: ignore[bad-assignment]  # called by place alone
    try:
        yield seconds
    finally:
        checkpoints.save_checkpoint = save


def run(arguments: argparse.Namespace, *, saving: bool) -> tuple[float, list[float]]:
    """Seconds of a run's training, and of each of its saves."""
    settings: dict[str, object] = {"train": "full", "epochs": arguments.epochs}
    settings["image_size"] = arguments.image_size
    if not saving:
        settings["checkpoint.seconds"] = 1e9
    with tempfile.TemporaryDirectory() as folder, timed_saves() as saves:
        done = zoo.run(
            arguments.spec,
            data=arguments.data,
            out=Path(folder) / "run",
            listener=Silent(),
            settings=settings,
        )
        return done.summary["seconds"]["full"], saves


def measure_checkpoints(arguments: argparse.Namespace) -> None:
    """Print what checkpoints cost."""
    print("checkpoints: seconds of training with those of the default and without")
    ratios: list[float] = []
    shares: list[float] = []
    for pair in range(arguments.pairs):
        order = (True, False) if pair % 2 else (False, True)
        found = {saving: run(arguments, saving=saving) for saving in order}
        (seconds, saves), (without, _) = found[True], found[False]
        ratios.append(seconds / without)
        shares.append(sum(saves) / seconds)
        each = ", ".join(f"{one:.2f}" for one in saves)
        print(f"  {seconds:.1f} s / {without:.1f} s = {ratios[-1]:.3f}; saves of {each} s", end="")
        print(f": {shares[-1]:.2%} of the time", flush=True)
    print(f"  ratio {spread(ratios, '.3f')}; share spent in saving {spread(shares, '.2%')}")


def gate(data: Path) -> tuple[float, float]:
    """Seconds from a folder to decoded and durable rows, and those of hashing among them."""
    with empty_cache():
        started = time.perf_counter()
        found = survey(data, seed=0, val_fraction=0.2, threads=cores(), hashes=Hashes(data))
        hashing = time.perf_counter() - started
        train = [split == "train" for split in found.splits]
        images = ingest(
            [row.path for row in found.table.rows],
            preprocess=PREPROCESS,
            want_pixels=[not one for one in train],
            want_canvas=train,
            canvas_side=CANVAS_SIDE,
            scratch=Path(os.environ["ZOO_CACHE"]),
            digests=found.digests,
        )
        seconds = time.perf_counter() - started
        images.close()
    return seconds, hashing


def judge(path: Path, *, canvas: bool) -> None:
    """Decode a file to what a run wants of it, and drop it."""
    prepare(path.read_bytes(), None if canvas else PREPROCESS, CANVAS_SIDE if canvas else 0)


def bare(paths: Sequence[Path], train: Sequence[bool]) -> float:
    """Seconds of decoding the same files to the same rows in as many plain processes."""
    started = time.perf_counter()
    with ProcessPoolExecutor(cores()) as pool:
        for canvas in (True, False):
            chosen = [path for path, one in zip(paths, train, strict=True) if one == canvas]
            list(pool.map(partial(judge, canvas=canvas), chosen, chunksize=8))
    return time.perf_counter() - started


def measure_gate(arguments: argparse.Namespace) -> None:
    """Print what hashing, limits and durability add to decoding."""
    print("gate: seconds of hashing, judging, decoding and keeping, and of decoding alone")
    found = survey(arguments.data, seed=0, val_fraction=0.2, threads=cores())
    paths = [row.path for row in found.table.rows]
    train = [split == "train" for split in found.splits]
    ratios: list[float] = []
    extra: list[float] = []
    for _ in range(arguments.gates):
        alone, (whole, hashing) = bare(paths, train), gate(arguments.data)
        ratios.append(whole / alone)
        extra.append(whole - alone)
        print(f"  {whole:.2f} s ({hashing:.2f} s of hashing) / {alone:.2f} s = ", end="")
        print(f"{ratios[-1]:.3f}", flush=True)
    share = [one / LONG for one in extra]
    print(
        f"  ratio {spread(ratios, '.3f')}; {spread(extra, '.2f')} s more for {len(paths)} images,"
    )
    print(f"  {spread(share, '.2%')} of a run of {LONG:.0f} s")


def measure_second_run(arguments: argparse.Namespace) -> None:
    """Print what is done once and not again."""
    print("a second run on the unchanged folder (a probe of one epoch)")
    with empty_cache(), tempfile.TemporaryDirectory() as folder:
        for number in ("first", "second"):
            ear = Ear()
            started = time.perf_counter()
            done = zoo.run(
                arguments.spec,
                data=arguments.data,
                out=Path(folder) / number,
                listener=ear,
                settings={"train": "probe", "epochs": 1},
            )
            seconds = done.summary["seconds"]
            scan = seconds["setup"] + time.perf_counter() - started - seconds["total"]
            print(
                f"  {number}: {scan:.2f} s of start and scan, {seconds['features']:.2f} s", end=""
            )
            print(f" of features; {'; '.join(ear.said) or 'data: nothing known before'}")


def spread(values: Sequence[float], form: str) -> str:
    """Mean, median and range, as text."""
    low, middle, high = (format(one, form) for one in (min(values), median(values), max(values)))
    return f"{format(fmean(values), form)} (median {middle}, {low} to {high})"


def main() -> None:
    """Print all three."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--spec", default="lite0+linear+ce")
    parser.add_argument("--epochs", type=int, default=1, help="of the whole network")
    parser.add_argument("--image-size", type=int, default=128, help="of the whole network")
    parser.add_argument("--pairs", type=int, default=3, help="of runs; 0 for none")
    parser.add_argument("--gates", type=int, default=5, help="pairs of scans; 0 for none")
    arguments = parser.parse_args()
    if arguments.gates:
        measure_gate(arguments)
        measure_second_run(arguments)
    if arguments.pairs:
        measure_checkpoints(arguments)


if __name__ == "__main__":
    main()
