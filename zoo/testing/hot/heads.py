"""Checks of heads: ports and their shapes, sizes of all kinds, and affine where they say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from zoo.components import OUTPUT_PORTS
from zoo.testing.hot.comparing import CLOSE, check_finite, near
from zoo.testing.hot.handling import is_heavy, tried
from zoo.testing.hot.rig import Head, normal
from zoo.testing.outcomes import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from zoo.testing.hot.rig import Outputs

#: how far float32 may take a cosine beyond 1
_ROUNDED = 1e-4


def ports(rig: Head) -> None:
    """The declared ports and no others, in their shapes, for any number of views, on float32."""
    for variant in rig.variants:
        if not is_heavy(variant):
            _check_ports(variant)


def _check_ports(rig: Head) -> None:
    context = rig.first()
    module = rig.stir(rig.module())
    widths = set()
    for views in sorted({1, context.views, context.views + 1}):
        for training in (True, False):
            inputs = rig.inputs(views=views)
            outputs = rig.run(module.train(training), inputs)
            where = f"{rig.title}of {views} views"
            n, classes = len(inputs[0]), context.classes
            _check_shapes(rig, outputs, (n, views, classes), where)
            widths |= {one.shape[-1] for port, one in outputs.items() if port == "embeddings"}
    if len(widths) > 1:
        raise Fault(f"{rig.title}the width of its embeddings varies: {sorted(widths)}")


def _check_shapes(rig: Head, outputs: Outputs, sizes: tuple[int, int, int], where: str) -> None:
    n, views, classes = sizes
    declared = set(rig.component.provides)
    if set(outputs) != declared:
        lacking, more = sorted(declared - set(outputs)), sorted(set(outputs) - declared)
        told = [f"lacks {', '.join(lacking)}"] * bool(lacking)
        told += [f"gives {', '.join(more)}, which it does not declare"] * bool(more)
        raise Fault(f"{where} it {' and '.join(told)}")
    expected: dict[str, tuple[int | None, ...]] = {
        "logits": (n, classes),
        "view_logits": (n, views, classes),
        "embeddings": (n, views, None),
        "similarities": (n, views, classes),
    }
    for port in OUTPUT_PORTS:
        if port not in outputs:
            continue
        shape, wanted = tuple(outputs[port].shape), expected[port]
        if len(shape) != len(wanted) or any(
            want not in (None, got) for want, got in zip(wanted, shape, strict=True)
        ):
            raise Fault(f"{where} it gives {port} {shape}, not {wanted}")
        if outputs[port].dtype != torch.float32:
            raise Fault(f"{where} it gives {port} of {outputs[port].dtype}, from float32")
    check_finite(outputs, where)
    if (
        "similarities" in outputs
        and (largest := outputs["similarities"].abs().max()) > 1 + _ROUNDED
    ):
        raise Fault(f"{where} it gives a similarity of {float(largest):.3g}, which is no cosine")


def context(rig: Head) -> None:
    """Any width, any number of classes, any number of views."""
    for features, classes, views in ((1, 2, 1), (7, 2, 2), (3, 11, 1), (16, 5, 3)):
        other = rig.under(features=features, classes=classes, views=views)
        try:
            _check_ports(other)
        except Exception as error:
            sizes = f"D = {features}, C = {classes}, V = {views}"
            raise Fault(f"for {sizes}: {str(error).partition(chr(10))[0]}") from error


def logits(rig: Head) -> None:
    """A loss and a prediction take the softmax themselves."""
    for variant in tried(rig):
        module = variant.stir(variant.module()).eval()
        given = torch.cat(
            [variant.run(module, variant.inputs(seed=one))["logits"] for one in (1, 2)]
        )
        if bool((given >= 0).all()) and near(given.sum(-1), torch.ones(len(given)), CLOSE):
            raise Fault(f"{variant.title}its logits are probabilities: each row adds up to one")


def convex(rig: Head) -> None:
    """Affine in the parameters, and without chance, where it is declared."""
    for variant in rig.variants:
        if variant.fact("convex"):
            _check_affine(variant)


def _check_affine(rig: Head) -> None:
    inputs = rig.inputs()
    ends = [_filled(rig, seed) for seed in (11, 12)]
    middle = _filled(rig, 11, 12)
    there, back = (rig.run(end, inputs) for end in ends)
    for name, one in rig.run(middle, inputs).items():
        if not near(one, (there[name] + back[name]) / 2, CLOSE):
            raise Fault(f"{rig.title}it says convex, and {name} is not affine in its parameters")
    again = rig.run(ends[0], inputs, seed=8)
    if any(not torch.equal(one, again[name]) for name, one in there.items()):
        raise Fault(f"{rig.title}it says convex, and draws at random")


def _filled(rig: Head, *seeds: int) -> nn.Module:
    """The head in training mode, its parameters the mean of those drawn under the seeds."""
    module = rig.module().train()
    with torch.no_grad():
        for place, one in enumerate(module.parameters()):
            drawn = [normal(100 * seed + place, *one.shape) for seed in seeds]
            one.copy_(torch.stack(drawn).mean(0))
    return module


CHECKS: dict[str, Callable[[Head], None]] = {
    "ports": ports,
    "logits": logits,
    "context": context,
    "convex": convex,
}
