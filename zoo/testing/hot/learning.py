"""Whether a module can be trained."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.testing.hot.comparing import check_finite, near
from zoo.testing.hot.handling import mapped, tried
from zoo.testing.hot.rig import Backbone, Outputs, Rig, normal
from zoo.testing.outcomes import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def weighted_sum(outputs: Outputs) -> Tensor:
    """One number that every output has a part in."""
    parts = [
        (one.float() * (1 if one.ndim == 0 else normal(90 + place, *one.shape))).sum()
        for place, (_, one) in enumerate(sorted(outputs.items()))
    ]
    return torch.stack(parts).sum()


def gradients(rig: Rig) -> None:
    """They are finite, and there wherever the outputs depend on something that can be trained."""
    for variant in tried(rig):
        _check_gradients(variant)


def _check_gradients(rig: Rig) -> None:
    module = rig.stir(rig.module()).train()
    inputs = rig.inputs()
    leaves = rig.leaves(inputs)
    for one in leaves.values():
        one.requires_grad_()
    kept = {name: one.detach().clone() for name, one in module.named_buffers()}
    total = weighted_sum(rig.run(module, inputs))
    if not total.requires_grad:
        raise Fault(f"{rig.title}nothing that can be trained leads to its outputs")
    trained = {name: one for name, one in module.named_parameters() if one.requires_grad}
    wanted = {**trained, **{f"the {name}": one for name, one in leaves.items()}}
    found = dict(
        zip(
            wanted,
            torch.autograd.grad(total, [*wanted.values()], allow_unused=True),
            strict=True,
        )
    )
    check_finite(found, f"{rig.title}the gradient")
    silent = [name for name in trained if found[name] is None or not bool(found[name].any())]
    back = found.get("the features")
    if back is not None:
        _check_views(rig, module, kept, back, inputs[0], total)
    if silent and _moves(rig, module, kept, inputs, [trained[name] for name in silent], total):
        shown = ", ".join(silent[:3])
        raise Fault(f"{rig.title}outputs depend on {shown}, and no gradient goes there")
    reached = [name for name in leaves if found[f"the {name}"] is not None]
    rows = {name for name in reached if bool(found[f"the {name}"].any())}  # type: ignore[missing-attribute]  # not None
    if leaves and not rows & {"features", "logits", "view_logits", "similarities"}:
        raise Fault(f"{rig.title}no gradient goes back to {' or '.join(leaves)}")


def _moves(
    rig: Rig,
    module: nn.Module,
    buffers: Mapping[str, Tensor],
    inputs: tuple[Any, ...],
    parameters: list[nn.Parameter],
    total: Tensor,
) -> bool:
    """Whether the outputs change when these parameters do, by little."""
    with torch.no_grad():
        for place, one in enumerate(parameters):
            one.add_(1e-2 * (1 + one.abs()) * normal(70 + place, *one.shape))
    return not near(_again(rig, module, buffers, inputs), total, 1e-5)


def _again(
    rig: Rig, module: nn.Module, buffers: Mapping[str, Tensor], inputs: tuple[Any, ...]
) -> Tensor:
    """One number of all outputs, from where the module was when its buffers were these."""
    with torch.no_grad():
        for name, one in module.named_buffers():
            one.copy_(buffers[name])
        return weighted_sum(rig.run(module, inputs))


def _check_views(
    rig: Rig,
    module: nn.Module,
    buffers: Mapping[str, Tensor],
    back: Tensor,
    features: Tensor,
    total: Tensor,
) -> None:
    """A gradient `back` `[N, V, D]` goes to every view of the features that `total` depends on."""
    silent = (back == 0).all(-1).all(0)  # [V]; of one image alone it may be chance
    moved = features.detach() + 1e-2 * silent[:, None] * normal(71, *features.shape)
    if bool(silent.any()) and not near(_again(rig, module, buffers, (moved,)), total, 1e-5):
        views = ", ".join(map(str, silent.nonzero().flatten().tolist()))
        raise Fault(f"{rig.title}outputs depend on view {views}, and no gradient goes back there")


def graphs(rig: Rig) -> None:
    """What one step computed is not kept for the next: memory would grow, or be needed twice."""
    module = rig.module().train()
    gc.freeze()  # what is there already need not be looked through
    held = _one_step(rig, module)
    gc.collect()
    gc.unfreeze()
    if any(one() is not None for one in held):
        raise Fault("when a step is over, it still keeps the graph of what went into it")


def _one_step(rig: Rig, module: nn.Module) -> list[weakref.ref[Tensor]]:
    """Forward and backward; none but the module can keep alive what these refer to."""
    inputs = rig.inputs()
    leaves = rig.leaves(inputs) or {"images": inputs[0]}
    for one in leaves.values():
        one.requires_grad_()
    given = mapped(inputs, lambda one: one.clone() if one.requires_grad else one)
    total = weighted_sum(rig.run(module, given))
    if total.requires_grad:
        total.backward()
    return [weakref.ref(one) for one in leaves.values()]


def steps(rig: Rig) -> None:
    """Forward, backward, step: as often as one likes."""
    module = rig.module().train()
    trained = [one for one in module.parameters() if one.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=1e-3) if trained else None
    for each in range(2 if isinstance(rig, Backbone) else 4):
        inputs = rig.inputs(seed=each, epoch=each)
        for one in rig.leaves(inputs).values():
            one.requires_grad_()
        outputs = rig.run(module, inputs, seed=each)
        check_finite(outputs, f"in step {each}")
        total = weighted_sum(outputs)
        if not total.requires_grad:
            raise Fault(f"in step {each} nothing that can be trained leads to its outputs")
        total.backward()
        check_finite(
            {name: one.grad for name, one in module.named_parameters()}, f"gradient of step {each}"
        )
        if optimiser:
            optimiser.step()
            optimiser.zero_grad()


CHECKS: dict[str, Callable[..., None]] = {
    "gradients": gradients,
    "steps": steps,
    "graphs": graphs,
}
