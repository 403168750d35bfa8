"""How modules and inputs are handled: on the meta device, with other tensors, other rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.components import OUTPUT_PORTS
from zoo.contracts import Batch, HeadOutput
from zoo.testing.outcomes import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zoo.testing.hot.rig import Rig

#: parameters of a head beyond which a value of an option is tried on the meta device alone
HEAVY = 20_000_000


def size_of(module: nn.Module) -> int:
    """How many numbers its parameters hold."""
    return sum(one.numel() for one in module.parameters())


def on_meta(rig: Rig) -> nn.Module:
    """The module on the meta device, and its outputs there.

    Raises:
        Fault: a part of it, or what it gives, is on another device.
    """
    with torch.device("meta"), torch.no_grad():
        module = rig.build().eval()
    elsewhere = [
        name
        for name, one in (*module.named_parameters(), *module.named_buffers())
        if not one.is_meta
    ]
    if elsewhere:
        raise Fault(f"{rig.title}built on the meta device, it has {elsewhere[0]} elsewhere")
    with torch.no_grad():
        outputs = rig.run(module, tuple(one.to("meta") for one in rig.inputs()))
    for name, one in outputs.items():
        if not one.is_meta:
            raise Fault(f"{rig.title}on the meta device, it gives {name} on {one.device}")
    return module


def is_heavy(rig: Rig) -> bool:
    """Whether it is a head that is better tried on the meta device alone."""
    known = rig.__dict__.get("heavy")
    if known is None:
        known = rig.kind == "head" and size_of(on_meta(rig)) > HEAVY
        rig.__dict__["heavy"] = known
    return known  # type: ignore[no-any-return]


def tried(rig: Rig) -> Iterator[Rig]:
    """Those variants that are worth building; of backbones only the default one."""
    for variant in (rig,) if rig.kind == "backbone" else rig.variants:
        if not is_heavy(variant):
            yield variant


def mapped(inputs: tuple[Any, ...], change: Callable[[Tensor], Tensor]) -> tuple[Any, ...]:
    """Inputs with each of their tensors changed."""

    def each(one: object) -> Any:  # noqa: ANN401 - as it came
        if isinstance(one, Tensor):
            return change(one)
        if isinstance(one, HeadOutput):
            return HeadOutput(**{port: each(getattr(one, port)) for port in OUTPUT_PORTS})
        if isinstance(one, Batch):
            extras = {name: each(value) for name, value in one.extras.items()}
            return Batch(each(one.target), each(one.samples), one.epoch, each(one.weight), extras)
        return one

    return tuple(each(one) for one in inputs)


def select(inputs: tuple[Any, ...], rows: list[int]) -> tuple[Any, ...]:
    """Inputs of these samples alone."""
    return mapped(inputs, lambda one: one[rows])
