"""Which samples an epoch visits, in which order: a pure function of (seed, phase, epoch)."""

from __future__ import annotations

import numpy as np

from zoo.data import draws


def epoch_order(
    seed: int, phase: str, epoch: int, targets: np.ndarray, *, balanced: bool
) -> np.ndarray:
    """Sample ids `[n]` of an epoch.

    Args:
        seed: of the run.
        phase: name of the phase.
        epoch: from 0.
        targets: class index of each sample.
        balanced: draw with replacement so that every class comes up equally often, instead of
            visiting each sample once.
    """
    samples = np.arange(len(targets))
    if not balanced:
        return draws.order(seed, phase, epoch, samples)
    counts = np.bincount(targets)
    shares = np.cumsum(1 / counts[targets])
    points = draws.uniform(seed, f"{phase}/sampler", epoch, samples) * shares[-1]
    return np.searchsorted(shares, points, side="right").clip(max=len(targets) - 1)


def batches(order: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut an epoch into batches; a last one of a single sample left over joins the one before it.

    BatchNorm in a head cannot train on one sample, and to drop it would leave out a sample of each
    epoch.
    """
    starts = list(range(0, len(order), size))
    if len(starts) > 1 and len(order) % size == 1:
        starts.pop()
    return [
        order[start : (starts[place + 1] if place + 1 < len(starts) else None)]
        for place, start in enumerate(starts)
    ]


def class_weights(targets: np.ndarray) -> np.ndarray:
    """Per-sample weights `[n]`, inverse to the class's frequency, with mean 1."""
    counts = np.bincount(targets)
    return len(targets) / (np.count_nonzero(counts) * counts[targets])
