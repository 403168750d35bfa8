"""BatchNorms of a frozen backbone, folded into the convolutions before them.

In eval mode a BatchNorm is `x · s + t` for each channel, with s = weight / √(variance + eps) and
t = bias - mean · s. After a convolution with weight W and bias b it makes another convolution, of
W · s and b · s + t: one pass over the memory less. (Jacob et al. 2017, arXiv:1712.05877, 3.2.)

What comes after what is seen in a forward pass and not read from the code, so that any module can
be folded; and nothing is believed: every pair is compared, then the whole, and then the whole once
more on the device and in the precision that a run computes with.

All of it looks at one picture of noise, the same for everybody. A run's own images would not do:
features are kept for other runs, and how they were computed must not depend on who came first.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everyone writes it
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils.fusion import fuse_conv_bn_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

#: stands in the recipes of what is kept, so that another way of folding never meets this one's
RULE = "conv-bn-2"
#: how far the folded features may be from the others, relative to their norm, in float32
_TOLERANCE = 1e-4
#: how many times as far from float32's features the folded ones may be as the others are, where the
#: device rounds more coarsely. Folding takes one rounding of every pair away and rounds the rest
#: otherwise, so that in fair weather either side is the nearer one: measured 0.5 to 1.7 times on
#: ten networks. To this comes one rounding of the result, of the precision's epsilon (2^-7 of
#: bfloat16), for networks of which the others happen to round to nothing.
_CHANCE = 3
_SEED = 0


@dataclass(frozen=True, slots=True)
class Folding:
    """What folding a backbone came to.

    Args:
        module: what to compute with: a folded copy, or the backbone itself.
        pairs: how many BatchNorms were folded.
        refused: why none was, although there are some; empty otherwise.
    """

    module: nn.Module
    pairs: int
    refused: str = ""


def fold(backbone: nn.Module, size: tuple[int, int]) -> Folding:
    """Fold a backbone's BatchNorms into its convolutions, in a copy.

    Which pairs there are is decided on the CPU in float32, so that it is the same whatever device
    then computes; whether they are folded, also by what that device makes of it, under the autocast
    that surrounds the call.

    Args:
        backbone: frozen; stays as it is, and answers in eval mode.
        size: (height, width) of its images, pixels.

    Returns:
        The copy, where the backbone was, proved to give the same features.
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules()):
        return Folding(backbone, 0)
    images = _noise(size)
    like = next(backbone.parameters(), torch.empty(()))
    with torch.inference_mode(mode=False), torch.no_grad(), torch.autocast("cpu", enabled=False):
        try:
            copied = copy.deepcopy(backbone).cpu().float().eval()
        except Exception as error:  # noqa: BLE001 - a plugin's module that cannot be copied
            return Folding(backbone, 0, f"{type(error).__name__} when it is copied")
        expected, pairs = _watched(copied, images)
        _replace(copied, {pair.conv: pair.fused for pair in pairs})
        _replace(copied, {pair.norm: _rest(pair.norm) for pair in pairs})
        if not pairs:
            return Folding(backbone, 0, "no BatchNorm follows a convolution alone")
        try:
            far = _distance(copied(images), expected)
        except Exception as error:  # noqa: BLE001 - a plugin's code that misses its BatchNorm
            return Folding(backbone, 0, f"{type(error).__name__} without its BatchNorms")
    folded = copied.to(like.device, like.dtype).requires_grad_(requires_grad=False)
    refused = f"the features would differ by {far:.1e} of their size"
    if far <= _TOLERANCE:
        refused = _rounds_worse(folded, backbone, images.to(like.device, like.dtype), expected)
    return Folding(backbone, 0, refused) if refused else Folding(folded, len(pairs))


def _noise(size: tuple[int, int]) -> Tensor:
    """A picture `[1, 3, H, W]` of noise at every scale, as photographs have it, of variance 1.

    White noise is kinder: bfloat16 moves the features of lite0 by 2.7 % of it, and by 4.1 % of
    photographs (4.4 % of this).
    """
    draw = torch.Generator().manual_seed(_SEED)
    scales = [2**power for power in range(max(1, min(size).bit_length() - 1))]
    made = torch.zeros(1, 3, *size)
    for scale in scales:
        coarse = torch.randn(1, 3, *(math.ceil(side / scale) for side in size), generator=draw)
        made += F.interpolate(coarse, size=size, mode="bilinear")
    return made / math.sqrt(len(scales))


@torch.no_grad()
def _rounds_worse(folded: nn.Module, plain: nn.Module, images: Tensor, exact: Tensor) -> str:
    """Why a folded backbone is none as it will be computed; empty where it is.

    Args:
        folded: on the device that computes.
        plain: the same, as it was built.
        images: `[1, 3, H, W]`, there.
        exact: their features by float32 on the CPU.
    """
    kind = images.device.type
    mixed = torch.is_autocast_enabled(kind)
    if kind == "cpu" and not mixed:
        return ""  # this is what was proved
    precision = torch.get_autocast_dtype(kind) if mixed else images.dtype
    far, usual = (_distance(module(images).cpu(), exact) for module in (folded, plain))
    if far <= max(_TOLERANCE, _CHANCE * usual + torch.finfo(precision).eps):
        return ""
    name = str(precision).removeprefix("torch.")
    return f"in {name} the features would be {far:.1%} off, and are {usual:.1%} off as they are"


@dataclass(frozen=True, slots=True)
class _Pair:
    """A convolution, the BatchNorm after it, and the convolution that does the work of both."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    fused: nn.Conv2d


def _watched(module: nn.Module, images: Tensor) -> tuple[Tensor, list[_Pair]]:
    """Features of images, and which convolution feeds which BatchNorm and can take it in.

    A convolution's output is known again by being the same object.
    """
    made: dict[int, tuple[nn.Conv2d, Tensor, Tensor]] = {}
    pairs: list[_Pair] = []
    calls: dict[nn.Module, int] = {}

    def see(part: nn.Module, given: tuple[Any, ...], out: Tensor) -> None:
        if not isinstance(part, (nn.Conv2d, nn.BatchNorm2d)):
            return
        calls[part] = calls.get(part, 0) + 1
        if not given:  # by keyword: nobody knows from where
            return
        if isinstance(part, nn.Conv2d):
            made[id(out)] = part, given[0], out
        elif isinstance(part, nn.BatchNorm2d) and id(given[0]) in made:
            conv, before, _ = made[id(given[0])]
            if _foldable(part):
                both = fused(conv, part)
                if _distance(_rest(part)(both(before)), out) <= _TOLERANCE:
                    pairs.append(_Pair(conv, part, both))

    # Not a hook of each part: copies of a part would keep it, and with it all that it ever sees.
    watching = register_module_forward_hook(see)
    try:
        features = module(images)
    finally:
        watching.remove()
    once = [pair for pair in pairs if calls[pair.conv] == calls[pair.norm] == 1]
    return features, once


def _foldable(norm: nn.BatchNorm2d) -> bool:
    """Whether it is x · s + t, and perhaps then `drop` and `act`, as timm's are."""
    plain = type(norm) is nn.BatchNorm2d
    extended = all(isinstance(getattr(norm, name, None), nn.Module) for name in ("drop", "act"))
    return norm.running_mean is not None and (plain or extended)


def _rest(norm: nn.BatchNorm2d) -> nn.Module:
    """What a BatchNorm does beside normalising."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    return nn.Sequential(norm.drop, norm.act)  # type: ignore[bad-argument-type]  # modules: see above


def fused(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A copy of a convolution that gives what the BatchNorm makes of it."""
    found = copy.deepcopy(conv)
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None and variance is not None  # noqa: S101, PT018 - see _foldable
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, mean, variance, norm.eps, norm.weight, norm.bias
    )
    # Laid out in memory as the weight was: kernels are chosen by it.
    laid_out = torch.empty_like(conv.weight).copy_(weight)
    found.weight = nn.Parameter(laid_out, requires_grad=False)
    found.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return found


def _replace(root: nn.Module, new: Mapping[nn.Module, nn.Module]) -> None:
    """Put modules into the places of others, wherever those are held."""
    for parent in list(root.modules()):
        for name, held in list(parent.named_children()):
            if held in new:
                setattr(parent, name, new[held])


def _distance(found: Tensor, expected: Tensor) -> float:
    """Norm of the difference over the norm of what is expected."""
    size = float(expected.double().norm())
    apart = float((found.double() - expected.double()).norm())
    return apart / size if size else (0.0 if apart == 0 else float("inf"))
