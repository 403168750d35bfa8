"""Measures how fast pictures are read: zoo's ingest beside torchvision's `ImageFolder`.

::

    python benchmarks/ingest.py [--small N] [--large N] [--pairs N] [--bytes SMALL LARGE]
        [--kept-memory]

The pictures are made here: noise whose spectrum falls like that of photographs, 500 x 375 (S) and
4000 x 3000 pixels (P), as JPEG of quality 90 with halved colours, its fall chosen so that a file
has the stated size. They lie in two class folders, in the system's cache.

What is compared, each arm in processes of its own, all pinned to one thread, in turn:

==========  ========================================================================================
crop        one epoch of torchvision: open, decode, `RandomResizedCrop(224)`, flip, `PILToTensor`
floats      the same with `ToTensor` and `Normalize` at its end, as most of its users have it; zoo
            does these, and the crop, when a batch is made
centre      like `crop` with `Resize(256)` and `CenterCrop(224)`
two         `crop` of each picture, and `centre`: the least that a probe before the whole network
            takes
canvas      what zoo does once instead: open, check the hash, decode, judge, a canvas of which all
            epochs' crops are taken, its CRC-32, and written into the pack
pixels      likewise for the picture as validation sees it, 224 x 224
both        canvas and pixels of each picture, for a probe before the whole network is trained
==========  ========================================================================================

Filters are the same in both (bilinear, antialiased). libjpeg's time depends by a quarter on where
its memory happens to lie, which is the same in all processes that do the same: so each process
takes some memory first, at random. zoo's children keep the memory that they free, which spares the
system from clearing pages for every picture; torchvision's are as its users have them, or with
--kept-memory keep it as well.

Later epochs of zoo decode nothing, which is not counted here. A table of CPU seconds per core (the
work in one process, after its imports), and one of whole passes, with what starts and feeds the
processes: `DataLoader(num_workers=2)` against zoo's two children. Ratios are of pairs that ran one
after the other: median, least and greatest.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

import zoo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

PREPROCESS = zoo.Preprocess(size=(224, 224), resize=(256, 256))
CANVAS_SIDE = 336
BATCH = 32
PAIRS = (
    ("canvas", "crop"),
    ("canvas", "floats"),
    ("pixels", "centre"),
    ("both", "crop"),
    ("both", "two"),
)
OURS = {ours for ours, _ in PAIRS}
#: glibc gives no memory back, and maps none apart, below these sizes, bytes
KEPT_MEMORY = {name: str(1 << 30) for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")}


def photograph(width: int, height: int, fall: float, seed: int) -> NDArray[np.uint8]:
    """Noise `[H, W, 3]` whose amplitude falls with the frequency to the power of `fall`."""
    random = np.random.default_rng(seed)
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    weight = np.maximum(np.hypot(down, across), 1 / max(width, height)) ** -fall
    waves = [
        np.fft.irfft2(np.fft.rfft2(random.standard_normal((height, width))) * weight)
        for _ in range(2)
    ]
    channels = [waves[0] + 0.3 * channel * waves[1] for channel in range(3)]
    return np.stack(
        [np.clip(128 + 55 * (one - one.mean()) / one.std(), 0, 255) for one in channels], axis=-1
    ).astype(np.uint8)


def jpeg(picture: NDArray[np.uint8]) -> bytes:
    """As cameras store it."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=90, subsampling="4:2:0")
    return stream.getvalue()


def make(folder: Path, count: int, size: tuple[int, int], wanted: int) -> int:
    """Pictures of about that many bytes in two class folders; their mean size."""
    low, high = 0.5, 2.5
    for _ in range(7):
        fall = (low + high) / 2
        low, high = (fall, high) if len(jpeg(photograph(*size, fall, 0))) > wanted else (low, fall)
    total = 0
    for number in range(count):
        place = folder / f"class{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        data = jpeg(photograph(*size, (low + high) / 2, number))
        (place / f"{number:05}.jpg").write_bytes(data)
        total += len(data)
    return round(total / count)


def torchvision_epoch(folder: Path, what: str, workers: int) -> Callable[[], int]:
    """One pass of `ImageFolder`; without workers its samples alone, which are not put together."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    torch.set_num_threads(1)
    crop: list[Any] = [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()]
    centre: list[Any] = [transforms.Resize(256), transforms.CenterCrop(224)]
    end: list[Any] = [transforms.PILToTensor()]
    if what == "floats":
        end = [transforms.ToTensor(), transforms.Normalize(PREPROCESS.mean, PREPROCESS.std)]
    passes = {"centre": [centre], "two": [crop, centre]}.get(what, [crop])
    sets = [ImageFolder(str(folder), transforms.Compose([*one, *end])) for one in passes]

    def one_pass(images: ImageFolder) -> int:
        if not workers:
            return sum(bool(len(images[place][0])) for place in range(len(images)))
        loader = DataLoader(images, BATCH, shuffle=True, num_workers=workers)
        return sum(len(batch) for batch, _ in loader)

    return lambda: min(one_pass(images) for images in sets)


def zoo_ingest(folder: Path, what: str, workers: int) -> Callable[[], int]:
    """One pass of zoo's, with hashes known beforehand: `ingest`, or what one child does in it."""
    from zoo.data.ingest import ingest
    from zoo.data.pool import Order, Task
    from zoo.data.worker import answer

    paths = sorted(folder.rglob("*.jpg"))
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    wants = what != "canvas", what != "pixels"
    scratch = Path(os.environ["ZOO_CACHE"])

    def whole() -> int:
        images = ingest(
            paths,
            preprocess=PREPROCESS,
            want_pixels=[wants[0]] * len(paths),
            want_canvas=[wants[1]] * len(paths),
            canvas_side=CANVAS_SIDE,
            scratch=scratch,
            digests=digests,
            jobs=workers,
        )
        return images.decoded - len(images.problems)

    def one_child() -> int:
        files = scratch / "pixels", scratch / "canvases"
        for file in files:
            file.touch()
        order = Order(PREPROCESS, CANVAS_SIDE, *files).to_json()
        tasks = [
            Task(
                place,
                path,
                place if wants[0] else -1,
                place if wants[1] else -1,
                digests[place],
            ).to_json()
            for place, path in enumerate(paths)
        ]
        return sum("size" in answer(order, task) for task in tasks)

    return whole if workers else one_child


def scattered() -> list[bytearray]:
    """Some memory, of random sizes."""
    draw = np.random.default_rng()
    return [bytearray(size) for size in draw.integers(500, 5000, draw.integers(50, 100)).tolist()]


def measured(epoch: Callable[[], int]) -> dict[str, float]:
    """What a pass took: seconds of wall and CPU, and the peaks of memory, MB."""
    before = _cpu_seconds()
    started = time.perf_counter()
    images = epoch()
    wall = time.perf_counter() - started
    return {
        "images": images,
        "wall": wall,
        "cpu": _cpu_seconds() - before,
        "own_mb": _own_peak(),
        "child_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3,
    }


def _cpu_seconds() -> float:
    whose = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return sum(sum(resource.getrusage(who)[:2]) for who in whose)


def _own_peak() -> float:
    """MB; `ru_maxrss` of a process begins with that of the one that started it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def arm(folder: Path, what: str, workers: int) -> dict[str, float]:
    """A pass in a process of its own, with an empty cache; zoo's own child sees what all do."""
    from zoo.data.pool import child_environment

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if what in OURS and not workers:
        environment = child_environment(os.environ)
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, __file__, "--arm", what, str(workers), str(folder)]
        done = subprocess.run(  # noqa: S603 - this script
            command, env={**environment, "ZOO_CACHE": cache}, stdout=subprocess.PIPE, check=True
        )
    return json.loads(done.stdout)


def compare(folder: Path, ours: str, theirs: str, workers: int, pairs: int) -> str:
    """A line of the table: zoo's arm beside its peer's."""
    arm(folder, ours, workers)  # the files into the system's cache, the code compiled
    both: list[tuple[dict[str, float], dict[str, float]]] = []
    for pair in range(pairs):
        order = (ours, theirs) if pair % 2 else (theirs, ours)
        found = {what: arm(folder, what, workers) for what in order}
        both.append((found[ours], found[theirs]))
    cells = [ours, theirs]
    for kind in ("cpu", "wall") if workers else ("cpu",):
        rates = [
            median(one["images"] / one[kind] for one in arms) for arms in zip(*both, strict=True)
        ]
        ratios = [_each(peer, kind) / _each(own, kind) for own, peer in both]
        cells += [f"{rates[0]:.0f}", f"{rates[1]:.0f}"]
        cells += [f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"]
    for arms in zip(*both, strict=True):
        own = max(one["own_mb"] for one in arms)
        child = max(one["child_mb"] for one in arms)
        cells.append(f"{own:.0f} + {workers} x {child:.0f}" if workers else f"{own:.0f}")
    return "| " + " | ".join(cells) + " |"


def _each(one: dict[str, float], kind: str) -> float:
    return one[kind] / one["images"]


def table(title: str, columns: Sequence[str]) -> None:
    """The head of a table."""
    print(f"\n{title}\n\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}", flush=True)


def main() -> None:
    """Make the pictures, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--small", type=int, default=1000, help="pictures of 500 x 375")
    parser.add_argument("--large", type=int, default=48, help="pictures of 4000 x 3000")
    parser.add_argument("--bytes", type=int, nargs=2, default=(100_000, 3_000_000))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--kept-memory", action="store_true", help="of torchvision's processes")
    parser.add_argument("--arm", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.arm:
        what, workers, folder = chosen.arm
        taken = scattered()
        begin = zoo_ingest if what in OURS else torchvision_epoch
        print(json.dumps(measured(begin(Path(folder), what, int(workers)))))
        del taken
        return
    if chosen.kept_memory:
        os.environ.update(KEPT_MEMORY)
    with tempfile.TemporaryDirectory() as made:
        sets = {"S": ((500, 375), chosen.small), "P": ((4000, 3000), chosen.large)}
        for (name, (size, count)), wanted in zip(sets.items(), chosen.bytes, strict=True):
            folder, mean = Path(made, name), make(Path(made, name), count, size, wanted)
            about = f"{name}: {count} pictures of {size[0]} x {size[1]}, {mean / 1e3:.0f} kB each"
            columns = ["zoo", "torchvision", "images/s", "images/s", "ratio", "peak MB", "peak MB"]
            table(f"{about}; by CPU seconds of one process", columns)
            for ours, theirs in PAIRS:
                print(compare(folder, ours, theirs, 0, chosen.pairs), flush=True)
            columns[5:5] = ["wall: images/s", "images/s", "ratio"]
            table(f"{about}; whole passes, two processes", columns)
            for ours, theirs in PAIRS:
                print(compare(folder, ours, theirs, 2, chosen.pairs), flush=True)


if __name__ == "__main__":
    main()
