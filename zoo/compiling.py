"""Whether a network is worth compiling before it is trained: what that costs, and what it gains.

Compiling takes as long for ten images as for a million, so only the images left decide.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import folders
from zoo.errors import StorageFault
from zoo.files import write_bytes

if TYPE_CHECKING:
    from zoo.phases import PhasePlan
    from zoo.plan import Plan

#: seconds that torch.compile takes for a training step (published: 28 to 56 for resnet50), and
#: the share of it that is left where an earlier run's kernels are kept (1.0 s of 3.4)
COLD_SECONDS, WARM_SHARE = 40.0, 1 / 3
#: side of the images that the speeds below are of, pixels
_SIDE = 224
#: where torch keeps compiled kernels, and what it keeps them by
CACHE, VARIABLE = "compiled", "TORCHINDUCTOR_CACHE_DIR"


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a kind of network trains on a fast GPU, in bfloat16.

    Args:
        images: a second at 224x224, without compiling.
        params: of the network that this was said of; others go by their size.
        gain: how many times as fast it is compiled.
    """

    images: float
    params: float
    gain: float


#: resnet18 and vit_small. A slower GPU gains as much a step and so breaks even sooner: the
#: decision errs on the side of not compiling.
_SPEEDS = {"conv": Speed(20_000, 11.2e6, 1.4), "token": Speed(4_000, 21.7e6, 2.5)}


def break_even(layout: str, params: int | None, size: tuple[int, int], *, warm: bool) -> float:
    """How many images must be left for compiling to cost no more time than it saves.

    Args:
        layout: `conv` or `token`; one that is unknown gains as little as `conv`.
        params: of the backbone; None where it does not say.
        size: (height, width) of the images, pixels.
        warm: whether the kernels are kept from an earlier run.
    """
    speed = _SPEEDS.get(layout, _SPEEDS["conv"])
    smaller = speed.params / (params or speed.params)
    rate = speed.images * smaller * _SIDE**2 / (size[0] * size[1])
    saved = (1 - 1 / speed.gain) / rate
    return COLD_SECONDS * (WARM_SHARE if warm else 1) / saved


def choose(wanted: str, kind: str, left: int, enough: float) -> tuple[bool, str]:
    """Whether to compile, and why; the reason is empty when the user chose.

    Args:
        wanted: `auto`, `on` or `off`.
        kind: of device: `cpu`, `cuda`, `mps`.
        left: images that training goes over, their views and epochs counted.
        enough: see `break_even`.
    """
    if wanted != "auto":
        return wanted == "on", ""
    if kind != "cuda":
        return False, "off: only on CUDA is it known to pay"
    more, than = f"{left:,} images to go over", f"about {enough:,.0f} make up for compiling"
    return left > enough, f"{'on' if left > enough else 'off'}: {more}, {than}"


def key(plan: Plan, phase: PhasePlan) -> str:
    """What a phase's kernels are known by: all that they depend on, as one word."""
    device = [plan.device.get(one) for one in ("title", "precision", "torch")]
    batch = [phase.batch_size * plan.views, *plan.preprocess.size]
    backbone = [plan.backbone.title, dict(plan.backbone.options), phase.freeze_bn]
    layout = plan.settings.get("channels_last")
    facts = json.dumps([device, batch, backbone, layout], sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()[:32]


def place() -> Path:
    """The folder where torch keeps kernels: the user's choice, else in zoo's cache folder."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else folders.cache() / CACHE


def is_warm(word: str) -> bool:
    """Whether kernels of this key were made before, and are still there."""
    return _mark(word).exists()


def remember(word: str) -> None:
    """Note that kernels of this key are there; where it cannot be noted, they count as unmade."""
    try:
        place().mkdir(parents=True, exist_ok=True)
        write_bytes(_mark(word), b"")
    except (OSError, StorageFault):
        return


def _mark(word: str) -> Path:
    """Lies beside the kernels, so that it goes when they go."""
    return place() / f"zoo-{word}"
