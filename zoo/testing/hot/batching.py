"""Batches of one, in other precisions, and whose tensors are whose."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from zoo.testing.hot.comparing import CLOSE, check_finite, near, scale_of
from zoo.testing.hot.handling import mapped, select, tried
from zoo.testing.hot.learning import weighted_sum
from zoo.testing.hot.rig import Backbone, C, Loss, N, Rig
from zoo.testing.outcomes import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: what a computation in bfloat16 may be off by, as a share of the greatest number
ROUGH = 0.06


def batch_of_one(rig: Rig) -> None:
    """The last batch of an epoch, and most predictions."""
    for variant in tried(rig):
        module = variant.stir(variant.module())
        for training in (True, False):
            outputs = variant.run(module.train(training), variant.inputs(1))
            check_finite(outputs, f"{variant.title}of one image (training: {training})")
            if any(len(one) != 1 for one in outputs.values() if one.ndim):
                raise Fault(f"{variant.title}of one image it gives another number of rows")


def autocast(rig: Rig) -> None:
    """In bfloat16 it runs, and stays near what it gives in float32."""
    module = rig.stir(rig.module()).train()
    buffers = {name: one.detach().clone() for name, one in module.named_buffers()}
    inputs = rig.inputs()
    if isinstance(rig, Loss):  # what a head under autocast hands it
        inputs = mapped(inputs, lambda one: one.bfloat16() if one.is_floating_point() else one)
        exact = rig.run(
            module, mapped(inputs, lambda one: one.float() if one.is_floating_point() else one)
        )
    else:
        exact = rig.run(module, inputs)
    with torch.no_grad():
        for name, one in module.named_buffers():
            one.copy_(buffers[name])
    leaves = rig.leaves(inputs)
    for one in leaves.values():
        one.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = rig.run(module, inputs)
    check_finite(rough, "in bfloat16")
    tolerance = 0.3 if isinstance(rig, Backbone) else ROUGH
    for name, one in exact.items():
        if name not in rough:
            raise Fault(f"in bfloat16 there is no {name}")
        off = (rough[name].detach().float() - one.detach()).square().mean().sqrt()
        if float(off) > tolerance * scale_of(one):
            raise Fault(f"in bfloat16 {name} is off by {float(off):.3g} (of {scale_of(one):.3g})")
    total = weighted_sum(rough)
    if total.requires_grad:
        total.backward()
        check_finite({name: one.grad for name, one in leaves.items()}, "gradient in bfloat16")


def in_place(rig: Rig) -> None:
    """What it is given belongs to others."""
    module = rig.module()
    for training in (True, False):
        for inputs in _every_kind_of_input(rig):
            tensors = rig.tensors(inputs)
            before = {name: (one.clone(), one._version) for name, one in tensors.items()}  # noqa: SLF001 - no other way to tell
            extras = dict(inputs[1].extras) if isinstance(rig, Loss) else {}
            with torch.no_grad():
                rig.run(module.train(training), inputs)
            for name, one in tensors.items():
                value, version = before[name]
                if one._version != version or not torch.equal(one, value):  # noqa: SLF001 - see above
                    raise Fault(f"it writes into the {name} that it is given")
            if isinstance(rig, Loss) and dict(inputs[1].extras) != extras:
                raise Fault("it changes the extras that it is given")


def _every_kind_of_input(rig: Rig) -> Iterator[tuple[Any, ...]]:
    """For a loss with weights, and both kinds of targets."""
    if not isinstance(rig, Loss):
        yield rig.inputs()
        return
    output, batch = rig.inputs(weight=torch.ones(N))
    yield output, batch
    shares = nn.functional.one_hot(batch.target, C).float()
    yield output, replace(batch, target=0.7 * shares + 0.3 * shares.roll(1, 0))


def independence(rig: Rig) -> None:
    """In eval, an image alone, and in any order, is answered as in its batch."""
    module = rig.stir(rig.module()).eval()
    inputs = rig.inputs(3)
    with torch.no_grad():
        whole = rig.run(module, inputs)
        for rows in ([0], [2], [2, 0, 1]):
            part = rig.run(module, select(inputs, rows))
            expected = {name: one[rows] for name, one in whole.items()}
            for name, one in part.items():
                if name not in expected or not near(one, expected[name], CLOSE):
                    raise Fault(f"{name} of an image depends on the others of its batch")


CHECKS: dict[str, Callable[..., None]] = {
    "batch-of-one": batch_of_one,
    "autocast": autocast,
    "in-place": in_place,
    "independence": independence,
}
