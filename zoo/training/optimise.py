"""Optimisers with few parameter groups, and a learning rate that is a function of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch.optim import Optimizer

#: where torch has one kernel for all parameters
_FUSED = {"cpu", "cuda", "mps"}
#: where these kernels obey `found_inf` (see `ledger`); those of MPS do not look at it
OBEYING = {"cpu", "cuda"}
#: steps that L-BFGS remembers, at least and at most (measured: 40 need half the evaluations of 10),
#: and so many numbers of memory in between
HISTORY = (5, 40)
_HISTORY_NUMBERS = 2**26


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a phase is optimised.

    Args:
        optimizer: `adamw`, or `sgd` (Nesterov); or `lbfgs`, for `zoo.training.solve`.
        lr: peak learning rate of the backbone, or of all where only a head is trained.
        head_lr: peak learning rate of the head and of the loss's own parameters.
        weight_decay: of matrices; vectors (biases, norms) have none.
        momentum: of `sgd`.
        warmup: share of the steps in which the rate rises linearly.
        steps: in the whole phase.
        clip: greatest norm of the gradient; 0 for no limit.
    """

    optimizer: str
    lr: float
    head_lr: float
    weight_decay: float
    momentum: float
    warmup: float
    steps: int
    clip: float


def rate(step: int, recipe: Recipe) -> float:
    """Share of the peak learning rate at a step (from 0): linear warmup, then cosine to 0."""
    rising = max(1, round(recipe.warmup * recipe.steps))
    if step < rising:
        return (step + 1) / (rising + 1)
    done = (step - rising) / max(1, recipe.steps - rising)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def build(modules: Mapping[str, Iterable[tuple[str, nn.Parameter]]], recipe: Recipe) -> Optimizer:
    """An optimiser over named parameters.

    Args:
        modules: `backbone`, `head`, `loss` → (name, parameter) pairs to train.
        recipe: see there.

    Returns:
        At most four groups (backbone or head rate, decayed or not), each with its peak rate as
        `peak`; a group per parameter would cost more than the step itself.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for part, parameters in modules.items():
        peak = recipe.lr if part == "backbone" else recipe.head_lr
        for _, parameter in parameters:
            decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((peak, decay), []).append(parameter)
    described = [
        {"params": parameters, "lr": peak, "peak": peak, "weight_decay": decay}
        for (peak, decay), parameters in groups.items()
    ]
    # One kernel for all of a group, where every parameter lives on a device that has it.
    trained = [parameter for parameters in groups.values() for parameter in parameters]
    fused = all(parameter.device.type in _FUSED for parameter in trained) or None
    if recipe.optimizer == "lbfgs":
        # Its decay is a part of what is minimised: see `zoo.training.solve`.
        kept = min(HISTORY[1], max(HISTORY[0], _HISTORY_NUMBERS // sum(p.numel() for p in trained)))
        return torch.optim.LBFGS(trained, history_size=kept, line_search_fn="strong_wolfe")
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            described,
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
            fused=fused,
        )
    return torch.optim.AdamW(described, lr=recipe.lr, fused=fused)


def clip(optimizer: Optimizer, limit: float) -> torch.Tensor:
    """Scale all gradients down to a norm of at most `limit` (0: no limit).

    Returns:
        The norm before, a scalar on the device.
    """
    trained = [one for group in optimizer.param_groups for one in group["params"]]
    gradients = [one.grad for one in trained if one.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    if limit:
        torch.nn.utils.clip_grads_with_norm_(trained, limit, norm)
    return norm


def set_rate(optimizer: Optimizer, step: int, recipe: Recipe) -> float:
    """Set every group's learning rate for a step; returns the head's."""
    share = rate(step, recipe)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share
    return recipe.head_lr * share
