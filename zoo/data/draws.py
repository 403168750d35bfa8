"""Random numbers without state: pure functions of a seed, a stream's name and counters.

A draw is a hash of what it is for, so it does not depend on what was drawn before it, on the
batch, the worker, the device or the number of devices, and a resumed run needs no generator's
state. The hash absorbs one 64-bit word after the other with the output function of SplitMix64
(Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, constants
as in Vigna's public-domain splitmix64.c). It is written in integer arithmetic, so no release of
numpy can change it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def uniform(seed: int, stream: str, *counters: ArrayLike) -> NDArray[np.float64]:
    """Uniform draws in [0, 1).

    Args:
        seed: any integer.
        stream: what the draws are for, such as `"probe/augment"`.
        counters: integer arrays that broadcast together: epoch, sample, view, number of the draw.

    Returns:
        an array of the broadcast shape: 53 random bits each.
    """
    return (bits(seed, stream, *counters) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def bits(seed: int, stream: str, *counters: ArrayLike) -> NDArray[np.uint64]:
    """64 random bits for each element of the broadcast counters; arguments as for `uniform`."""
    digest = hashlib.sha256(f"{seed}/{stream}".encode("utf-8", "surrogateescape")).digest()
    state = np.asarray(int.from_bytes(digest[:8], "little"), np.uint64)
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is what is meant
        for counter in counters:
            word = np.asarray(counter).astype(np.uint64)
            state = _mix(state + _GOLDEN * (word + np.uint64(1)))
    return np.asarray(state)


def order(seed: int, phase: str, epoch: int, samples: ArrayLike) -> NDArray[np.int64]:
    """The samples in this epoch's order: sorted by their draws, whatever order they come in.

    Args:
        seed: the run's.
        phase: the phase's name.
        epoch: from 0 within the phase.
        samples: distinct sample ids `[N]`.

    Returns:
        the same ids `[N]`.
    """
    ids = np.sort(np.asarray(samples, np.int64))
    return ids[np.argsort(bits(seed, f"{phase}/order", epoch, ids), kind="stable")]


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's output function: a bijection of 64 bits that leaves no pattern."""
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return np.asarray(state ^ (state >> np.uint64(31)))
