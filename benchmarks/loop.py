"""Measures what zoo's training loop costs over one written by hand.

::

    python benchmarks/loop.py [--data FOLDER|demo] [--spec SPEC ...] [--batch-size N]
        [--image-size N] [--steps N] [--pairs N] [--device auto|cpu|cuda]

Both train the same network, with random weights, on the same batch that lies ready on the device:
the same optimiser and groups, schedule, clipping, precision, memory layout and kernels, for it is
the loop that is measured, and not what it calls. zoo's side is `zoo.training.fit` as a run calls
it: seeded, looked at for what is not finite, ready for a checkpoint after every step. The other is
`by_hand` below: what a careful person writes for one run. Blocks of the two take turns, and which
goes first alternates.

Printed is the mean of the paired ratios and its upper 95 % bound (bootstrap), by the clock and by
processor seconds; on a CPU that other work shares, only the latter mean anything. The exit code is
1 where a bound that counts is above the aim: by the clock, or with --processor by processor
seconds.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import inside  # first, since it makes ready for torch what a run makes ready
import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from zoo.training import fit, train
from zoo.training.blocks import OneBatch
from zoo.training.features import set_scale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from zoo.training.session import Session

SPECS = ("lite0+linear+ce", "torchvision/resnet18+linear+ce")
#: most that the loop may cost
AIM = 1.03
RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Block:
    """Seconds that a block took, by the clock and of all cores."""

    clock: float
    processor: float


def by_hand(task: fit.Task, images: Tensor, steps: int, blocks: int) -> Callable[[int], None]:
    """The loop of a person who trains this one network: `steps` steps on a batch `[B, 3, H, W]`."""
    recipe, device = task.phase.recipe, task.learner.device
    model: Any = copy.deepcopy(task.learner.trained)
    backbone = model.backbone
    with torch.no_grad():
        width = backbone.eval()(images[:2]).shape[-1]
    head = nn.Linear(width, int(task.targets.max()) + 1).to(device.torch)
    target = torch.from_numpy(task.targets[: len(images)]).to(device.torch)
    groups = [
        {"params": parameters, "lr": lr, "weight_decay": decay}
        for module, lr in ((backbone, recipe.lr), (head, recipe.head_lr))
        for decay, matrices in ((recipe.weight_decay, True), (0.0, False))
        if (parameters := [one for one in module.parameters() if (one.ndim > 1) == matrices])
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe.lr, fused=device.torch.type in ("cpu", "cuda"))
    total = steps * blocks
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))
    )
    trained = [*backbone.parameters(), *head.parameters()]

    def work(_block: int) -> None:
        backbone.train()
        lost = torch.zeros((), device=device.torch)
        for _ in range(steps):
            with task.learner.within():
                with device.autocast():
                    features = backbone(images)
                    loss = cross_entropy(head(features.float()).float(), target)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
            nn.utils.clip_grad_norm_(trained, recipe.clip)
            optimizer.step()
            schedule.step()
            lost += loss.detach()
        if not math.isfinite(lost.item()):
            raise ArithmeticError("the loss by hand is not finite")

    return work


def by_zoo(session: Session, task: fit.Task, steps: int) -> Callable[[int], None]:
    """An epoch of `steps` steps of zoo's own loop."""

    def work(block: int) -> None:
        once = replace(
            task,
            phase=replace(task.phase, epochs=block + 1),
            position=fit.Position(epoch=block, step=block * steps),
        )
        # It looks at its last numbers before an epoch is over, and so waits for the device.
        list(
            fit.run(
                once,
                after_step=session.pause,
                progress=lambda _count, _loss: None,
                name_samples=lambda samples: list(map(str, samples)),
            )
        )

    return work


def timed(work: Callable[[int], None], number: int, device: Any) -> Block:  # noqa: ANN401 - zoo's
    """A block of one side."""
    device.wait()
    clock, processor = time.perf_counter(), time.process_time()
    work(number)
    device.wait()
    return Block(time.perf_counter() - clock, time.process_time() - processor)


def pairs(session: Session, count: int, steps: int) -> Sequence[tuple[Block, ...]]:
    """Blocks of zoo's loop and of the one by hand, `count` pairs after one of warming up."""
    (phase,) = session.plan.phases
    set_scale(session)
    task = train.prepare(session, phase)
    batch, classes = task.phase.batch_size, len(session.dataset.classes)
    # As many samples as it takes, of which the classes come round; a batch is the same pictures.
    there = len(task.targets)
    images = task.feed.batch(0, np.arange(batch) % there)
    task.targets = np.arange(batch * steps) % classes
    task.feed = OneBatch(images, session.plan.views)
    task.validate = lambda: None
    recipe = replace(task.phase.recipe, steps=steps * (count + 1), warmup=0.0)
    task.phase = replace(task.phase, recipe=recipe)
    sides = by_zoo(session, task, steps), by_hand(task, images, steps, count + 1)
    return inside.in_turns(
        count,
        lambda pair: timed(sides[0], pair, session.device),
        lambda pair: timed(sides[1], pair, session.device),
    )


def measure(spec: str, arguments: argparse.Namespace) -> Sequence[tuple[Block, ...]]:
    """The pairs of one spec."""
    return inside.measured(
        spec,
        lambda session: pairs(session, arguments.pairs, arguments.steps),
        data=arguments.data,
        train="full",
        weights="none",
        optimizer="adamw",
        epochs=1,
        device=arguments.device,
        batch_size=arguments.batch_size,
        image_size=arguments.image_size,
    )


def bounded(ratios: Sequence[float]) -> tuple[float, float]:
    """The mean, and what it is below with 95 % confidence, by resampling the pairs."""
    values, generator = np.array(ratios), np.random.default_rng(0)
    means = generator.choice(values, (RESAMPLES, len(values))).mean(1)
    return float(values.mean()), float(np.quantile(means, 0.95))


def report(spec: str, found: Sequence[tuple[Block, ...]], steps: int) -> dict[str, float]:
    """Print what the pairs of a spec come to; the upper bound of each way of measuring."""
    print(f"{spec}: {len(found)} pairs of {steps} steps each")
    bounds = {}
    for name in ("clock", "processor"):
        ours, theirs = ([getattr(one, name) for one in side] for side in zip(*found, strict=True))
        mean, above = bounded([one / other for one, other in zip(ours, theirs, strict=True)])
        bounds[name] = above
        a, b = (1000 * sorted(side)[len(side) // 2] / steps for side in (ours, theirs))
        print(
            f"  {name}: {mean:.4f} of the loop by hand, below {above:.4f} with 95 % confidence",
            end="",
        )
        print(f" (medians of {a:.2f} and {b:.2f} ms a step)", flush=True)
    return bounds


def main() -> int:
    """Print the cost of the loop for each spec."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--data", default="demo")
    parser.add_argument("--spec", action="append", help="may be given more than once")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=4, help="of a block")
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--processor", action="store_true", help="the aim is for processor seconds")
    arguments = parser.parse_args()
    if arguments.pairs < 20:  # noqa: PLR2004 - see below
        parser.error("a bound from fewer than 20 pairs means little")
    counts = "processor" if arguments.processor else "clock"
    missed = []
    for spec in arguments.spec or SPECS:
        bounds = report(spec, measure(spec, arguments), arguments.steps)
        missed += [spec] if bounds[counts] > AIM else []
    print(
        f"aim: at most {AIM} by {counts}: "
        + (f"missed by {', '.join(missed)}" if missed else "held")
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
