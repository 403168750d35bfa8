"""Measures how fast the whole network trains: beside its headspace, timm, and the card's ceiling.

::

    python benchmarks/headspace.py [--data FOLDER] [--spec SPEC ...] [--batch-size N] [--steps N]
        [--pairs N] [--device auto|cpu|cuda] [--compile] [--processor]

The headspace is the same loop over one batch that lies ready on the device, again and again: what
training would do if its images cost nothing. Blocks of the whole network's training (epoch 2 and
later: the images are decoded) and of the headspace take turns, and which goes first alternates.
Between them timm takes its own step, at the flags that are best for it, over one batch that lies
ready as well (see `timm_step.py`): what its loader would cost is left out. With `--compile` zoo
compiles its backbone, and timm is measured both ways, of which the faster counts.

Printed are images per second and the fraction of the headspace, by the clock and by processor
seconds (on a CPU that other work shares, only those mean anything); what the feed takes of a
processor; on CUDA how often a step made the host wait for the device; and a table of zoo beside
timm and beside what the card could do (see `ceilings.py`). The exit code is 1 where the middle
fraction of the headspace is below the aim, by the clock, or with --processor by processor seconds,
or where a step made the host wait.

Without `--spec`: on CUDA the five backbones of the aim, with random weights; elsewhere `lite0`,
since without CUDA none of this says anything of a GPU. Without `--data`: the drawn demo set. A
block has 50 steps of 256 images on CUDA, 8 of 32 elsewhere; where the data set has fewer images,
they come round.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

import ceilings
import inside  # first of what loads torch: it makes ready for it what a run makes ready
import numpy as np
import timm_step
import torch

from zoo.training import fit, train
from zoo.training.blocks import OneBatch
from zoo.training.features import set_scale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from zoo.training.feeds import Feed
    from zoo.training.session import Session

CUDA_SPECS = (
    "torchvision/resnet18+linear+ce",
    "torchvision/resnet50+linear+ce",
    "timm/vit_small_patch16_224+linear+ce",
    "timm/convnext_tiny+linear+ce",
    "timm/efficientnet_b0+linear+ce",
)
CPU_SPECS = ("efficientnet-lite/lite0+linear+ce",)
#: least fraction of the headspace
AIM = 0.97
#: (images of a step, steps of a block), on CUDA and elsewhere
SIZES = {True: (256, 50), False: (32, 8)}
#: how torch's debug mode calls an operation that made the host wait
WAITED = "called a synchronizing CUDA operation"


@dataclass(frozen=True, slots=True)
class Round:
    """A feed whose `count` samples come round."""

    feed: Feed
    count: int

    def batch(self, epoch: int, samples: np.ndarray) -> Tensor:
        """See `Feed`."""
        return self.feed.batch(epoch, samples % self.count)

    def begin(self, batches: Sequence[np.ndarray]) -> None:
        """See `Feed`."""
        self.feed.begin([samples % self.count for samples in batches])

    def expect(self, samples: np.ndarray) -> None:
        """See `Feed`."""
        self.feed.expect(samples % self.count)


@dataclass(frozen=True, slots=True)
class Block:
    """What a block of steps took.

    Args:
        images: how many were trained on.
        seconds: by the clock.
        processor: seconds of all cores.
        waits: operations that made the host wait for the device, but for looks at its numbers.
        steps: that the images were trained on in.
    """

    images: int
    seconds: float
    processor: float
    waits: int
    steps: int = 1

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds


#: blocks by side: `zoo`, its `headspace`, and `timm` as it is and compiled where those are measured
Sides = Mapping[str, "Sequence[Block]"]


def timed(work: Callable[[], int], *, cuda: bool) -> Block:
    """What some steps take; they wait for the device at their end, and count their images."""
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clock, processor = time.perf_counter(), time.process_time()
        images = work()
        seconds = time.perf_counter() - clock
        processor = time.process_time() - processor
    if cuda:
        torch.cuda.set_sync_debug_mode("default")
    return Block(images, seconds, processor, sum(WAITED in str(one.message) for one in caught))


def block(task: fit.Task, feed: Feed, count: int, epoch: int) -> Block:
    """One epoch of a task over a feed of so many samples."""
    once = replace(
        task,
        feed=Round(feed, count),
        phase=replace(task.phase, epochs=epoch + 1),
        position=fit.Position(epoch=epoch),
    )

    looks = set[int]()  # steps after which it looked at the numbers so far, and so waited

    def looked() -> None:
        looks.add(once.position.step)

    def train_once() -> int:
        list(
            fit.run(
                once,
                after_step=looked,
                progress=lambda _count, _loss: None,
                name_samples=lambda samples: list(map(str, samples)),
            )
        )
        looked()  # the loop does so before an epoch is over
        return len(task.targets)

    found = timed(train_once, cuda=task.learner.device.torch.type == "cuda")
    waits = max(0, found.waits - len(looks))
    return replace(found, waits=waits, steps=once.position.step)


def sides(session: Session, architecture: str, arguments: argparse.Namespace) -> Sides:
    """Blocks of each side in turns, `arguments.pairs` of each after one of warming up."""
    (phase,) = session.plan.phases
    set_scale(session)
    task = train.prepare(session, phase)
    batch, there = task.phase.batch_size, len(task.targets)
    task.targets = np.resize(task.targets, batch * arguments.steps)
    task.validate = lambda: None
    images = task.feed.batch(0, np.arange(batch) % there)
    ready = OneBatch(images, session.plan.views)
    work: dict[str, Callable[[int], Block]] = {
        "zoo": lambda turn: block(task, task.feed, there, turn),
        "headspace": lambda turn: block(task, ready, there, turn),
    }
    for name, compiled in (("timm", False), ("timm compiled", True))[: 1 + arguments.compile]:
        if steps := _timm(session, architecture, images, compiled=compiled):
            work[name] = lambda _turn, steps=steps: timed(
                lambda: steps.take(arguments.steps), cuda=session.device.torch.type == "cuda"
            )
    rounds = inside.in_turns(arguments.pairs, *work.values())
    return dict(zip(work, zip(*rounds, strict=True), strict=True))


def _timm(
    session: Session, architecture: str, images: Tensor, *, compiled: bool
) -> timm_step.Steps | None:
    """The side of timm, for as many classes; None where timm has no such network."""
    classes = len(session.dataset.classes)
    model = timm_step.network(architecture, classes)
    if model is None:
        return None
    return timm_step.Steps(model, images, classes, session.device, compiled=compiled)


def architecture_of(spec: str) -> str:
    """`torchvision/resnet18.TAG:key=value+linear+ce` → `resnet18`."""
    backbone = spec.partition("+")[0].partition("/")
    return (backbone[2] or backbone[0]).partition(".")[0].partition(":")[0]


def measure(spec: str, arguments: argparse.Namespace) -> Sides:
    """The blocks of one spec."""
    return inside.measured(
        spec,
        lambda session: sides(session, architecture_of(spec), arguments),
        data=arguments.data,
        train="full",
        weights="none",
        epochs=1,
        device=arguments.device,
        batch_size=arguments.batch_size,
        compile="on" if arguments.compile else "off",
    )


def spread(values: Sequence[float], form: str) -> str:
    """Median and range, as text."""
    low, middle, high = (format(one, form) for one in (min(values), median(values), max(values)))
    return f"{middle} ({low} to {high})"


def report(spec: str, found: Sides, *, cuda: bool) -> None:
    """Print what the rounds of a spec come to."""
    fed, ready = found["zoo"], found["headspace"]
    print(f"{spec}: {len(fed)} rounds of {fed[0].images} images each")
    for name, blocks in found.items():
        print(f"  {name}: {spread([one.rate for one in blocks], '.1f')} images/s")
    clock, processor = (fractions(found, clock=one) for one in (True, False))
    print(f"  fraction of the headspace: {spread(clock, '.3f')} by the clock,")
    print(f"    {spread(processor, '.3f')} by processor seconds")
    more = [one.processor - best.processor for one, best in zip(fed, ready, strict=True)]
    each = spread([1000 * one / block.images for one, block in zip(more, fed, strict=True)], ".2f")
    print(f"  more than the headspace takes: {each} ms of a processor an image")
    if cuda:
        waits = spread([one.waits / one.steps for one in fed], ".2f")
        print(f"  operations in a step that made the host wait: {waits}")


def fractions(found: Sides, *, clock: bool) -> list[float]:
    """Of the headspace, round by round, by the clock or by processor seconds."""
    fed, ready = found["zoo"], found["headspace"]
    if clock:
        return ratios(ready, fed)
    return [best.processor / one.processor for one, best in zip(fed, ready, strict=True)]


def faults(spec: str, found: Sides, *, clock: bool) -> list[str]:
    """What of a spec's rounds misses the aim, by the clock or by processor seconds."""
    fraction = median(fractions(found, clock=clock))
    waits = sum(one.waits for one in found["zoo"])
    return [
        *([f"{spec} ({fraction:.3f} of the headspace)"] if fraction < AIM else []),
        *([f"{spec} ({waits} waits within steps)"] if waits else []),
    ]


def ratios(one: Sequence[Block], other: Sequence[Block]) -> list[float]:
    """How many times as fast `other` is, round by round."""
    return [b.rate / a.rate for a, b in zip(one, other, strict=True)]


HEADER = ("network", "zoo", "headspace", "timm", "zoo / timm", "ceiling", "zoo of it", "timm of it")


def row(architecture: str, found: Sides, card: str) -> tuple[str, ...]:
    """A line of the table: images a second, and what they are of timm's and of the ceiling.

    Args:
        architecture: of the spec.
        found: its blocks.
        card: as CUDA calls it; empty where there is none.
    """
    rates = {name: median([one.rate for one in blocks]) for name, blocks in found.items()}
    best = max(
        (name for name in rates if name.startswith("timm")),
        key=lambda name: rates[name],
        default=None,
    )
    most = ceilings.ceiling(architecture, card)
    return (
        architecture,
        f"{rates['zoo']:,.0f}",
        f"{rates['headspace']:,.0f}",
        f"{rates[best]:,.0f}" if best else "-",
        spread(ratios(found[best], found["zoo"]), ".2f") if best else "-",
        f"{most:,.0f}" if most else "-",
        f"{rates['zoo'] / most:.2f}" if most else "-",
        f"{rates[best] / most:.2f}" if most and best else "-",
    )


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """As Markdown."""
    lines = [HEADER, ("---",) * len(HEADER), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> int:
    """Print the headspace of each spec, and the table of all; whether the aim is missed."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--data", default="demo")
    parser.add_argument("--spec", action="append", help="may be given more than once")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--steps", type=int, help="of a block")
    parser.add_argument("--pairs", type=int, default=5, help="rounds of all sides")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--processor", action="store_true", help="the aim is for processor seconds")
    arguments = parser.parse_args()
    cuda = torch.cuda.is_available() and arguments.device != "cpu"
    card = torch.cuda.get_device_name() if cuda else ""
    print(card or "CUDA: none here, so its figures are not measured")
    batch, steps = SIZES[cuda]
    arguments.batch_size, arguments.steps = arguments.batch_size or batch, arguments.steps or steps
    rows, missed = list[tuple[str, ...]](), list[str]()
    for spec in arguments.spec or (CUDA_SPECS if cuda else CPU_SPECS):
        found = measure(spec, arguments)
        report(spec, found, cuda=cuda)
        missed += faults(spec, found, clock=not arguments.processor)
        rows.append(row(architecture_of(spec), found, card))
    print(table(rows))
    if cuda:
        print(ceilings.origin(card))
    counts = "processor seconds" if arguments.processor else "the clock"
    print(
        f"aim: at least {AIM} of the headspace by {counts}, and no wait within a step: "
        + (f"missed by {', '.join(missed)}" if missed else "held")
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
