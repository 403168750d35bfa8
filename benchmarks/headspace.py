"""Measures how much of a training step's speed reading and augmenting the images leaves.

::

    python benchmarks/headspace.py --data FOLDER [--spec SPEC ...] [--batch-size N] [--steps N]
        [--pairs N] [--device auto|cpu|cuda]

The headspace is the same loop over one batch that lies ready on the device, again and again: what
training would do if its images cost nothing. Blocks of the whole network's training (epoch 2 and
later: the images are decoded) and of the headspace take turns, and which goes first alternates.
Printed are images per second and the fraction of the headspace, by the clock and by processor
seconds (on a CPU that other work shares, only those mean anything); the feed's own share of the
processor seconds; and on CUDA how often a step made the host wait for the device.

Without `--spec`: on CUDA the five backbones of the aim, with random weights; elsewhere `lite0`.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import inside  # first, since it makes ready for torch what a run makes ready
import numpy as np
import torch

from zoo.training import fit, train
from zoo.training.blocks import OneBatch
from zoo.training.features import set_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

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
#: how torch's debug mode calls an operation that made the host wait
WAITED = "called a synchronizing CUDA operation"


@dataclass(slots=True)
class Timed:
    """A feed, and the processor seconds that it took."""

    feed: Feed
    seconds: float = 0.0

    def batch(self, epoch: int, samples: np.ndarray) -> Tensor:
        """See `Feed`."""
        began = time.process_time()
        made = self.feed.batch(epoch, samples)
        self.seconds += time.process_time() - began
        return made

    def begin(self, samples: np.ndarray) -> None:
        """See `Feed`."""
        self.feed.begin(samples)

    def expect(self, samples: np.ndarray) -> None:
        """See `Feed`."""
        began = time.process_time()
        self.feed.expect(samples)
        self.seconds += time.process_time() - began


@dataclass(frozen=True, slots=True)
class Block:
    """What a block of steps took.

    Args:
        images: how many were trained on.
        seconds: by the clock.
        processor: seconds of all cores.
        feed: of these, the feed's.
        waits: operations that made the host wait for the device.
    """

    images: int
    seconds: float
    processor: float
    feed: float
    waits: int


def block(task: fit.Task, feed: Feed, epoch: int) -> Block:
    """One epoch of a task over a feed."""
    timed = Timed(feed)
    once = replace(
        task,
        feed=timed,
        phase=replace(task.phase, epochs=epoch + 1),
        position=fit.Position(epoch=epoch),
    )
    cuda = task.learner.device.torch.type == "cuda"
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clock, processor = time.perf_counter(), time.process_time()
        # The loop looks at its last numbers before an epoch is over, and so waits for the device.
        list(
            fit.run(
                once,
                after_step=lambda: None,
                progress=lambda _count, _loss: None,
                name_samples=lambda samples: list(map(str, samples)),
            )
        )
        seconds = time.perf_counter() - clock
        processor = time.process_time() - processor
    if cuda:
        torch.cuda.set_sync_debug_mode("default")
    waits = sum(WAITED in str(one.message) for one in caught)
    return Block(len(task.targets), seconds, processor, timed.seconds, waits)


def pairs(session: Session, count: int, steps: int) -> Sequence[tuple[Block, Block]]:
    """Blocks of training and of the headspace, `count` pairs after one of warming up."""
    (phase,) = session.plan.phases
    set_scale(session)
    task = train.prepare(session, phase)
    batch = task.phase.batch_size
    task.targets = task.targets[: batch * steps]
    task.validate = lambda: None
    images = task.feed.batch(0, np.arange(min(batch, len(task.targets))))
    ready = OneBatch(images, session.plan.views)
    return inside.in_turns(
        count, lambda pair: block(task, task.feed, pair), lambda pair: block(task, ready, pair)
    )


def measure(spec: str, arguments: argparse.Namespace) -> Sequence[tuple[Block, Block]]:
    """The pairs of one spec."""
    return inside.measured(
        spec,
        lambda session: pairs(session, arguments.pairs, arguments.steps),
        data=arguments.data,
        train="full",
        weights="none",
        epochs=1,
        device=arguments.device,
        batch_size=arguments.batch_size,
    )


def spread(values: Sequence[float], form: str) -> str:
    """Median and range, as text."""
    low, middle, high = (format(one, form) for one in (min(values), median(values), max(values)))
    return f"{middle} ({low} to {high})"


def report(spec: str, found: Sequence[tuple[Block, Block]], *, cuda: bool) -> None:
    """Print what the pairs of a spec come to."""
    fed, ready = zip(*found, strict=True)
    print(f"{spec}: {len(found)} pairs of {fed[0].images} images each")
    rates = [spread([one.images / one.seconds for one in side], ".1f") for side in (fed, ready)]
    print(f"  images/s: {rates[0]}; of the headspace {rates[1]}")
    clock = [best.seconds / one.seconds for one, best in found]
    processor = [best.processor / one.processor for one, best in found]
    print(f"  fraction of the headspace: {spread(clock, '.3f')} by the clock,")
    print(f"    {spread(processor, '.3f')} by processor seconds")
    share = spread([one.feed / one.processor for one in fed], ".1%")
    each = spread([1000 * one.feed / one.images for one in fed], ".2f")
    print(f"  the feed: {share} of the processor seconds, {each} ms an image")
    if cuda:
        waits = spread([one.waits for one in fed], ".0f")
        print(f"  operations in a block that waited for the device: {waits}")


def main() -> None:
    """Print the headspace of each spec."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--spec", action="append", help="may be given more than once")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=8, help="of a block, at most an epoch")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    cuda = torch.cuda.is_available() and arguments.device != "cpu"
    print(
        torch.cuda.get_device_name() if cuda else "CUDA: none here, so its figures are not measured"
    )
    for spec in arguments.spec or (CUDA_SPECS if cuda else CPU_SPECS):
        found = measure(spec, arguments)
        report(spec, found, cuda=cuda)


if __name__ == "__main__":
    main()
