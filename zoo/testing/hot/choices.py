"""Whether the options of a component do something."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo.testing.hot.handling import HEAVY, on_meta, size_of
from zoo.testing.hot.rig import Backbone, Head, Rig
from zoo.testing.outcomes import Fault, NotApplicableError
from zoo.testing.planned import values

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.components import Value


def option_effect(rig: Rig, case: str) -> None:
    """Some value of the option changes something, if need be together with another option."""
    tried = _candidates(rig, case)
    if not tried:
        raise NotApplicableError(f"no other value of {case} can be made up")
    others: list[dict[str, Value]] = [{}]
    for name in rig.component.options:
        others += [{name: value} for value in _candidates(rig, name) if name != case]
    for surroundings in others:
        start = _behaviour(rig.under(surroundings))
        for value in tried:
            if _differ(start, _behaviour(rig.under({**surroundings, case: value}))):
                return
    shown = ", ".join(map(repr, tried))
    raise Fault(f"nothing changes, whatever {case} is ({shown})")


def _candidates(rig: Rig, name: str) -> list[Value]:
    option = rig.component.options[name]
    found = values(option)
    between = {"int": (1, 2, 3, 5, 64), "float": (0.1, 0.3, 0.5, 0.9, 2.0)}.get(option.type, ())
    low = float("-inf") if option.minimum is None else option.minimum
    high = float("inf") if option.maximum is None else option.maximum
    if not option.choices:
        found += [one for one in between if low <= one <= high and one != option.default]
    return found


def _behaviour(rig: Rig) -> object:
    """What can be seen of a component under these options; None where it does not build."""
    try:
        if isinstance(rig, Backbone):
            with torch.device("meta"):
                module = rig.build()
            return [_structure(module)]
        if isinstance(rig, Head) and size_of(on_meta(rig)) > HEAVY:
            return None
        module = rig.stir(rig.module())
        found: list[object] = [{name: one.shape for name, one in module.state_dict().items()}]
        for seed, epoch, training in ((1, 0, True), (2, 1, True), (3, 50, True), (1, 0, False)):
            for scale in (1.0,) if isinstance(rig, Head) else (1.0, 5.0):
                inputs = rig.inputs(seed=seed, epoch=epoch, scale=scale)
                found.append(rig.run(module.train(training), inputs))
    except Exception:  # noqa: BLE001 - whether it builds is another check
        return None
    return found


def _structure(module: nn.Module) -> list[object]:
    """Layers, shapes, and the plain numbers that they keep."""
    plain = (bool, int, float, str, tuple)
    return [
        repr(module),
        {name: one.shape for name, one in module.state_dict().items()},
        [
            {key: value for key, value in vars(one).items() if isinstance(value, plain)}
            for one in module.modules()
        ],
    ]


def _differ(one: object, other: object) -> bool:
    if one is None or other is None:
        return one is not other
    assert isinstance(one, list)  # noqa: S101 - for the type checker
    assert isinstance(other, list)  # noqa: S101 - likewise
    return any(_unlike(a, b) for a, b in zip(one, other, strict=True))


def _unlike(one: object, other: object) -> bool:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return one != other
    if one.keys() != other.keys():
        return True
    return any(
        not torch.equal(value, other[key]) if isinstance(value, Tensor) else value != other[key]
        for key, value in one.items()
    )


CHECKS: dict[str, Callable[..., None]] = {
    "option-effect": option_effect,
}
