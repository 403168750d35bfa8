"""Measures a second frozen run beside the bare import of torch, torchvision and timm.

::

    python benchmarks/second_run.py [--data FOLDER] [--pairs N] [--json FILE]

The first run computes the features of a folder's images and keeps them. Then, alternately and each
as a whole process: `zoo run` on the same images with another head (dropout), another loss (`cekl`)
and each time another learning rate, from the start to the written run folder; and an interpreter
that imports the three libraries and ends. Printed are the seconds of each pair and their ratio,
by the clock and by the CPU's, with the images decoded and the forward passes made, which must be
none: else the exit code is 1.
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


def zoo_run(data: str, cache: Path, out: Path, spec: str, *more: str) -> Measured:
    """One frozen run with its cache and its run folder in given places."""
    command = [ZOO, "run", spec, "--data", data, "--train", "probe", "--out", str(out), *more]
    return measured(command, {"ZOO_CACHE": str(cache)})


def pairs(data: str, count: int) -> Iterator[tuple[Measured, Measured]]:
    """Second runs, each with an import beside it; which goes first alternates."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        cache = place / "cache"
        first = zoo_run(data, cache, place / "first", f"{LITE0}+linear+ce")
        print(f"the first run: {first.wall:.2f} s, ", end="")
        print(f"{first.decoded} images decoded, {first.forwards} forwards")
        measured(IMPORT)  # the libraries' files come into the system's cache
        spec = f"{LITE0}+linear:dropout=0.2+cekl"
        for number in range(count):
            bare = measured(IMPORT) if number % 2 else None
            rate = f"{1e-3 * (number + 2):g}"
            second = zoo_run(data, cache, place / f"run-{number}", spec, "--lr", rate)
            yield second, bare or measured(IMPORT)


def spread(values: Sequence[float]) -> str:
    """Median and range."""
    return f"median {median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit code is 1 where a second run decoded an image or made a forward pass."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", default="demo", help="labelled images; demo: drawn by zoo")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures, to this file")
    asked = parser.parse_args(arguments)
    found: list[tuple[Measured, Measured]] = []
    for second, bare in pairs(asked.data, asked.pairs):
        found.append((second, bare))
        print(f"  {second.wall:.2f} s / {bare.wall:.2f} s = {second.wall / bare.wall:.2f}", end="")
        print(f"; {second.decoded} decoded, {second.forwards} forwards", flush=True)
    walls = [second.wall / bare.wall for second, bare in found]
    works = [(second.user + second.system) / (bare.user + bare.system) for second, bare in found]
    print(f"a second run to the import: {spread(walls)}; in CPU seconds {spread(works)}")
    if asked.json:
        record = [{"second": asdict(second), "import": asdict(bare)} for second, bare in found]
        asked.json.write_text(json.dumps(record, indent=1), "utf-8")
    return int(any(second.decoded or second.forwards for second, _ in found))


if __name__ == "__main__":
    raise SystemExit(main())
