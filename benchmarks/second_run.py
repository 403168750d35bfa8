"""Measures a second frozen run beside the bare import of torch, torchvision and timm.

::

    python benchmarks/second_run.py [--data FOLDER] [--rounds N] [--json FILE]

The first run computes the features of a folder's images and keeps them. Then, in turns and each as
a whole process, from the start to the written run folder: `zoo run` on the same images with another
loss, with another learning rate, and with another head; and an interpreter that imports the three
libraries and ends. Printed are the seconds of each round and their ratio to the import's, by the
clock and by the CPU's. No image may be decoded and no forward pass made: else the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from processes import LITE0, ZOO, Measured, measured

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

IMPORT = [sys.executable, "-c", "import torch, torchvision, timm"]
BARE = "import"
#: what is another than in the first run: head and loss, and more options
AGAIN = {
    "another loss": ("linear+cekl",),
    "another learning rate": ("linear+ce", "--lr", "0.003"),
    "another head": ("linear:dropout=0.2+ce",),
}


def zoo_run(data: str, cache: Path, out: Path, spec: str, *more: str) -> Measured:
    """One frozen run with its cache and its run folder in given places."""
    command = [ZOO, "run", spec, "--data", data, "--train", "probe", "--out", str(out), *more]
    return measured(command, {"ZOO_CACHE": str(cache)})


def rounds(data: str, count: int) -> Iterator[dict[str, Measured]]:
    """In each round every kind of second run and an import, from another one on each time."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        cache = place / "cache"
        first = zoo_run(data, cache, place / "first", f"{LITE0}+linear+ce")
        print(f"the first run: {first.wall:.2f} s, ", end="")
        print(f"{first.decoded} images decoded, {first.forwards} forwards")
        measured(IMPORT)  # the libraries' files come into the system's cache
        kinds = [None, *AGAIN]
        for number in range(count):
            made: dict[str, Measured] = {}
            for kind in kinds[number % len(kinds) :] + kinds[: number % len(kinds)]:
                if kind is None:
                    made[BARE] = measured(IMPORT)
                else:
                    spec, *more = AGAIN[kind]
                    out = place / f"run-{number}-{kind.replace(' ', '-')}"
                    made[kind] = zoo_run(data, cache, out, f"{LITE0}+{spec}", *more)
            yield made


def work(one: Measured) -> float:
    """Seconds of the processor."""
    return one.user + one.system


def spread(values: Sequence[float]) -> str:
    """Median and range."""
    return f"median {median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit code is 1 where a second run decoded an image or made a forward pass."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", default="demo", help="labelled images; demo: drawn by zoo")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures, to this file")
    asked = parser.parse_args(arguments)
    found: list[dict[str, Measured]] = []
    for made in rounds(asked.data, asked.rounds):
        found.append(made)
        told = ", ".join(f"{kind} {made[kind].wall:.2f} s" for kind in (BARE, *AGAIN))
        print(f"  {told}", flush=True)
    for kind in AGAIN:
        walls = [made[kind].wall / made[BARE].wall for made in found]
        works = [work(made[kind]) / work(made[BARE]) for made in found]
        print(f"{kind}, to the import: {spread(walls)}; in CPU seconds {spread(works)}")
    if asked.json:
        record = [{kind: asdict(one) for kind, one in made.items()} for made in found]
        asked.json.write_text(json.dumps(record, indent=1), "utf-8")
    again = [made[kind] for made in found for kind in AGAIN]
    decoded, forwards = sum(one.decoded for one in again), sum(one.forwards for one in again)
    print(f"{decoded} images decoded, {forwards} forwards")
    return int(bool(decoded or forwards))


if __name__ == "__main__":
    raise SystemExit(main())
