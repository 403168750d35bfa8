"""Whether the options of a component do something."""

from __future__ import annotations

from contextlib import suppress
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.testing.hot.handling import is_heavy
from zoo.testing.hot.rig import Backbone, Head, Rig
from zoo.testing.outcomes import Fault, NotApplicableError
from zoo.testing.planned import values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zoo.components import Value


def option_effect(rig: Rig, case: str) -> None:
    """Some value of the option changes something, if need be together with another option."""
    tried = _candidates(rig, case)
    if not tried:
        raise NotApplicableError(f"no other value of {case} can be made up")
    others: list[dict[str, Value]] = [{}]
    for name in rig.component.options:
        others += [{name: value} for value in _candidates(rig, name) if name != case]
    looks = (_structure, _computation) if isinstance(rig, Backbone) else (_behaviour,)
    for surroundings, look in product(others, looks):
        start = _seen(look, rig.under(surroundings))
        for value in tried:
            if _differ(start, _seen(look, rig.under({**surroundings, case: value}))):
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


def _seen(look: Callable[[Any], list[object]], rig: Rig) -> list[object] | None:
    """What a look at a component under these options shows; None where it does not build."""
    try:
        return None if is_heavy(rig) else look(rig)
    except Exception:  # noqa: BLE001 - whether it builds is another check
        return None


def _behaviour(rig: Rig) -> list[object]:
    """What it answers, in training and in evaluation, early and late."""
    module = rig.stir(rig.module())
    found: list[object] = [{name: one.shape for name, one in module.state_dict().items()}]
    for seed, epoch, training in ((1, 0, True), (2, 1, True), (3, 50, True), (1, 0, False)):
        for scale in (1.0,) if isinstance(rig, Head) else (1.0, 5.0):
            inputs = rig.inputs(seed=seed, epoch=epoch, scale=scale)
            found.append(rig.run(module.train(training), inputs))
    return found


def _structure(rig: Backbone) -> list[object]:
    """Its layers, in their own words, and its tensors' shapes."""
    with torch.device("meta"):
        module = rig.build()
    return [repr(module), {name: one.shape for name, one in module.state_dict().items()}]


def _computation(rig: Backbone) -> list[object]:
    """The operations that build, train and evaluate it, without their numbers.

    A number that it only keeps is in none of these.
    """
    with torch.device("meta"), _Operations() as found:
        module = rig.build()
        images = torch.empty(2, 3, *rig.size)
        for training in (True, False):
            features = rig.run(module.train(training), (images,))["features"]
            with suppress(Exception):  # not every operation has its backward there
                features.sum().backward()
    return [found.called]


class _Operations(TorchDispatchMode):
    """Notes down each operation with its arguments that are no tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[object] = []

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        del types
        kwargs = kwargs or {}
        self.called.append((str(func), _plain(args), _plain(kwargs)))
        return func(*args, **kwargs)


def _plain(given: object) -> object:
    """Arguments, of whose tensors nothing is told but that they are there."""
    if isinstance(given, Tensor):
        return "a tensor"
    if isinstance(given, (list, tuple)):
        return [_plain(one) for one in given]
    return {key: _plain(one) for key, one in given.items()} if isinstance(given, dict) else given


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
