"""A network's module tree with the shapes that flow through it, on the meta device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from zoo.contracts import HeadContext

if TYPE_CHECKING:
    from torch import nn

    from zoo.training.assemble import Maker

#: classes of a head that is built only to be looked at
_CLASSES = 10


@dataclass(frozen=True, slots=True)
class StructureRow:
    """One module.

    Args:
        name: dotted path; empty for the whole.
        module: its class.
        shape: of its output for one image; empty where it was not called or gives no tensor.
        params: parameters, those of its children included.
    """

    name: str
    module: str
    shape: tuple[int, ...]
    params: int


def backbone(maker: Maker, size: tuple[int, int]) -> list[StructureRow]:
    """The module tree of a backbone for an input of (height, width) pixels."""
    with torch.device("meta"):
        module = maker.build(None).eval()
        return rows(module, maker, torch.empty(1, 3, *size))


def trio(
    makers: tuple[Maker, Maker, Maker], size: tuple[int, int], views: int
) -> list[StructureRow]:
    """The same for a backbone and its head, named `backbone...` and `head...`."""
    found = [_under("backbone", row) for row in backbone(makers[0], size)]
    width = found[0].shape[-1]
    context = HeadContext(features=width, classes=_CLASSES, views=views)
    with torch.device("meta"):
        head = makers[1].build(context).eval()
        found += [
            _under("head", row) for row in rows(head, makers[1], torch.empty(1, views, width))
        ]
    return found


def rows(module: nn.Module, maker: Maker, given: torch.Tensor) -> list[StructureRow]:
    """Call a module once and note every submodule's output shape."""
    shapes: dict[str, tuple[int, ...]] = {}
    named = dict(module.named_modules())
    places = {one: name for name, one in named.items()}

    def note(called: nn.Module, _given: object, output: object) -> None:
        shapes.setdefault(places[called], _shape(output))

    hooks = [one.register_forward_hook(note) for one in places]
    with torch.no_grad(), maker.blamed("fails on its input"):
        module(given)
    for hook in hooks:
        hook.remove()
    return [
        StructureRow(
            name,
            type(one).__name__,
            shapes.get(name, ()),
            sum(parameter.numel() for parameter in one.parameters()),
        )
        for name, one in named.items()
    ]


def _shape(output: object) -> tuple[int, ...]:
    return tuple(output.shape) if isinstance(output, torch.Tensor) else ()


def _under(part: str, row: StructureRow) -> StructureRow:
    return StructureRow(f"{part}.{row.name}".rstrip("."), row.module, row.shape, row.params)
