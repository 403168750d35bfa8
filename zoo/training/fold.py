"""BatchNorms of a frozen backbone, folded into the convolutions before them.

In eval mode a BatchNorm is `x · s + t` for each channel, with s = weight / √(variance + eps) and
t = bias - mean · s. After a convolution with weight W and bias b it makes another convolution, of
W · s and b · s + t: one pass over the memory less. (Jacob et al. 2017, arXiv:1712.05877, 3.2.)

What comes after what is seen in a forward pass and not read from the code, so that any module can
be folded; and nothing is believed: every pair is compared, and then the whole.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils.fusion import fuse_conv_bn_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

#: stands in the recipes of what is kept, so that another way of folding never meets this one's
RULE = "conv-bn-1"
#: how far the folded features may be from the others, relative to their norm, in float32
_TOLERANCE = 1e-4
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

    It is decided on the CPU in float32, so that it is the same whatever device then computes.

    Args:
        backbone: frozen; stays as it is, and answers in eval mode.
        size: (height, width) of its images, pixels.

    Returns:
        The copy, where the backbone was, proved to give the same features for random input.
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules()):
        return Folding(backbone, 0)
    images = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(_SEED))
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
    if not far <= _TOLERANCE:
        return Folding(backbone, 0, f"the features would differ by {far:.1e} of their size")
    return Folding(
        copied.to(like.device, like.dtype).requires_grad_(requires_grad=False), len(pairs)
    )


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
