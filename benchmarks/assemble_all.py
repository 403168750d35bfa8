"""Puts every backbone of the catalog together with the heads `linear` and `contrastive`.

::

    python benchmarks/assemble_all.py [--jobs 2] [--only 'timm/vit_*'] [--json FILE]

Each backbone is built once and run at its default input size on the meta device, which takes no
memory, or on the CPU where the meta device cannot; both heads run on its features. Checked are the
shapes of all outputs, and the catalog's width, parameters and input size against what was built.
Each model has a time limit, and a crash costs only the model that caused it. Half an hour for 1,452
backbones on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from fnmatch import fnmatch
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.contracts import HeadContext
from zoo.index import Listed, catalog, load_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from torch import Tensor, nn

HEADS = ("heads/linear", "heads/contrastive")
#: samples and classes of the trial; more than one sample, so that a head may normalise over them
SAMPLES, CLASSES = 2, 5


def assemble(full_name: str) -> dict[str, Any]:
    """What became of one backbone: the device, what is wrong, and why not on the meta device."""
    import torch

    started = time.perf_counter()
    listed = catalog().get(full_name, "backbone")
    assert listed is not None  # noqa: S101 - the name comes from the same catalog
    outcome: dict[str, Any] = {"name": full_name, "device": "meta", "problems": []}
    try:
        with torch.device("meta"):
            outcome["problems"] = problems_of(listed)
    except Exception as error:  # noqa: BLE001 - the CPU decides whether it is the model's fault
        outcome |= {"device": "cpu", "meta": told(error)}
        try:
            outcome["problems"] = problems_of(listed)
        except Exception as error:  # noqa: BLE001 - this is what the sweep is for
            outcome["problems"] = [told(error)]
    return outcome | {"seconds": round(time.perf_counter() - started, 2)}


def problems_of(listed: Listed) -> list[str]:
    """Builds the backbone and both heads on the current device; every difference found."""
    import torch

    facts = listed.component.facts
    height, width = facts.input_size or (224, 224)
    backbone: nn.Module = load_target(listed)(None).eval()
    with torch.inference_mode():
        features: Tensor = backbone(torch.zeros(SAMPLES, 3, height, width))
        found = [message for name in HEADS if (message := head_problem(name, features))]
    default = listed.component.default_weights()
    measured = {
        "shape of features": (tuple(features.shape), (SAMPLES, facts.features)),
        "parameters": (sum(each.numel() for each in backbone.parameters()), facts.params),
        "input size": (default.preprocess.size if default else facts.input_size, (height, width)),
    }
    return found + [
        f"{what}: {built}, the catalog says {said}"
        for what, (built, said) in measured.items()
        if built != said
    ]


def head_problem(full_name: str, features: Tensor) -> str:
    """What is wrong with a head's logits over these features; empty when nothing is."""
    listed = catalog().get(full_name, "head")
    if listed is None:
        return f"{full_name} is not installed"
    views = listed.component.views
    assert isinstance(views, int)  # noqa: S101 - of the two heads named here
    context = HeadContext(features=features.shape[-1], classes=CLASSES, views=views)
    head = load_target(listed)(context).eval()
    logits = head(features.unsqueeze(1).expand(-1, views, -1)).logits
    right = tuple(logits.shape) == (SAMPLES, CLASSES)
    return "" if right else f"{full_name}: logits of shape {tuple(logits.shape)}"


def told(error: BaseException) -> str:
    """An exception on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def serve(pipe: Connection) -> None:
    """A worker process: takes names, answers with outcomes, ends when nobody asks any more."""
    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with suppress(EOFError):
        while True:
            pipe.send(assemble(pipe.recv()))


def work(names: queue.SimpleQueue[str], limit: float) -> Iterator[dict[str, Any]]:
    """Outcomes of names from the queue, each from a worker that is replaced when it fails."""
    worker, pipe = hired()
    while (name := next_of(names)) is not None:
        try:
            pipe.send(name)
            if not pipe.poll(limit):
                raise TimeoutError
            yield pipe.recv()
        except (EOFError, OSError) as error:  # TimeoutError is an OSError
            worker.kill()
            worker.join()
            late = isinstance(error, TimeoutError)
            cause = f"no answer in {limit:g} s" if late else f"crashed ({worker.exitcode})"
            yield {"name": name, "device": "", "problems": [cause], "seconds": limit}
            worker, pipe = hired()
    pipe.close()
    worker.join()


def hired() -> tuple[SpawnProcess, Connection]:
    """A new worker process and our end of the pipe to it."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    worker = context.Process(target=serve, args=(theirs,), daemon=True)
    worker.start()
    theirs.close()
    return worker, ours


def next_of(names: queue.SimpleQueue[str]) -> str | None:
    """The next name; None when all are taken."""
    try:
        return names.get_nowait()
    except queue.Empty:
        return None


def sweep(names: Sequence[str], jobs: int, limit: float) -> list[dict[str, Any]]:
    """The outcomes of all names, by name; tells of the progress and of each problem at once."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in names:
        waiting.put(name)
    outcomes: list[dict[str, Any]] = []

    def one_worker(_: int) -> None:
        for outcome in work(waiting, limit):
            outcomes.append(outcome)
            for problem in outcome["problems"]:
                print(f"{outcome['name']}: {problem}", flush=True)
            if len(outcomes) % 100 == 0:
                print(f"{len(outcomes)} of {len(names)}", file=sys.stderr, flush=True)

    with ThreadPoolExecutor(jobs) as threads:
        list(threads.map(one_worker, range(jobs)))
    return sorted(outcomes, key=lambda outcome: outcome["name"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Sweep and sum up; 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="*", metavar="PATTERN", help="such as 'timm/vit_*'")
    parser.add_argument("--limit", type=float, default=300, metavar="SECONDS", help="for one model")
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args(arguments)
    names = [
        one.full_name for one in catalog().of("backbone") if fnmatch(one.full_name, asked.only)
    ]
    started = time.perf_counter()
    outcomes = sweep(names, asked.jobs, asked.limit)
    if asked.json:
        asked.json.write_text(json.dumps(outcomes, indent=1), "utf-8")
    for outcome in outcomes:
        if "meta" in outcome:
            print(f"{outcome['name']}: on the CPU, since the meta device says {outcome['meta']}")
    good = sum(not outcome["problems"] for outcome in outcomes)
    seconds = time.perf_counter() - started
    print(f"{good} of {len(names)} assembled with {' and '.join(HEADS)} in {seconds:.0f} s")
    return int(good < len(names))


if __name__ == "__main__":
    raise SystemExit(main())
