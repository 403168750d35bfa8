"""What a module keeps: its state, its modes, and nothing of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo.testing import state
from zoo.testing.hot.comparing import check_equal
from zoo.testing.hot.rig import Backbone, Outputs, Rig, seed_all
from zoo.testing.outcomes import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def strays(module: nn.Module) -> list[str]:
    """Names of attributes that hold trained tensors which are no parameters."""
    known = {id(one) for one in module.parameters()}
    return [
        f"{name}.{key}".lstrip(".")
        for name, part in module.named_modules()
        for key, value in vars(part).items()
        if not key.startswith(("_parameters", "_buffers", "_modules"))
        for one in _tensors_in(value)
        if one.requires_grad and one.is_leaf and id(one) not in known
    ]


def _tensors_in(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple, set)):
        for one in value:
            yield from _tensors_in(one)
    elif isinstance(value, dict):
        yield from _tensors_in([*value.values()])


def _twins(rig: Rig) -> tuple[nn.Module, nn.Module]:
    """Two modules, each built anew under one seed of torch's and different ones elsewhere."""
    known = rig.__dict__.get("twins")
    if known is None:
        known = rig.__dict__["twins"] = rig.build(0, 1), rig.build(0, 2)
    return known  # type: ignore[no-any-return]


def _state(module: nn.Module) -> Outputs:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def fresh(rig: Rig) -> None:
    """What one does, another knows nothing of."""
    one, other = _twins(rig)
    if one is other:
        raise Fault("it gives the same module twice")
    places = [
        {part.untyped_storage().data_ptr() for part in _state(module).values() if part.numel()}
        for module in (one, other)
    ]
    if (places[0] & places[1]) - {0}:
        raise Fault("two builds share tensors")
    if isinstance(rig, Backbone):
        return
    first = rig.run(rig.stir(rig.module()).train(), rig.inputs())
    used = rig.stir(rig.module()).train()
    for seed in (2, 3):
        rig.run(used, rig.inputs(seed=seed))
    check_equal(
        rig.run(rig.stir(rig.module()).train(), rig.inputs()), first, "after another was used"
    )


def seed(rig: Rig) -> None:
    """Start and draws are decided by torch's seed alone."""
    one, other = _twins(rig)
    check_equal(_state(one), _state(other), "two builds under one seed")
    inputs = rig.inputs()
    for training in (False, True):
        outputs = []
        for others in (1, 2):
            module = rig.stir(rig.module()).train(training)
            with state.kept():
                seed_all(5, others)
                outputs.append(rig.named(module(*inputs)))
        check_equal(outputs[0], outputs[1], f"two calls under one seed (training: {training})")


def modes(rig: Rig) -> None:
    """Training and evaluation, and what the latter must not do."""
    module = rig.stir(rig.module())
    for training in (True, False):
        given = module.train() if training else module.eval()
        if given is not module:
            raise Fault(f"its {'train' if training else 'eval'}() does not give the module back")
        if any(part.training is not training for part in module.modules()):
            raise Fault(f"a part of it does not follow {'train' if training else 'eval'}()")
    inputs = rig.inputs()
    before = {name: one.detach().clone() for name, one in _state(module.eval()).items()}
    with state.kept(), torch.no_grad():  # as one predicts
        seed_all(1, 1)
        drawn = torch.get_rng_state()
        first = rig.named(module(*inputs))
        if not torch.equal(drawn, torch.get_rng_state()):
            raise Fault("in eval it draws at random")
        kept = {name: one.detach().clone() for name, one in first.items()}
        second = rig.named(module(*inputs))
        rig.named(module(*rig.inputs(seed=2)))
    check_equal(kept, first, "what it gave, after it was called again")
    check_equal(kept, second, "two calls in eval")
    check_equal(_state(module), before, "its state after predicting")
    rig.run(module.train(), inputs)
    parameters = dict(module.named_parameters())
    check_equal(
        parameters, {name: before[name] for name in parameters}, "its parameters after one call"
    )


CHECKS: dict[str, Callable[..., None]] = {
    "fresh": fresh,
    "seed": seed,
    "modes": modes,
}
