"""Whether tensors follow the input to another device, and nobody waits for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo.testing.hot.handling import mapped
from zoo.testing.outcomes import Fault, NotApplicableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.testing.hot.rig import Outputs, Rig


def device(rig: Rig) -> None:
    """Tensors that it makes or keeps follow the input: tried on a GPU that is only pretended."""
    outputs = _on_pretended_gpu(rig)
    if isinstance(outputs, str):
        raise NotApplicableError(f"it looks at numbers, which are pretended: {outputs}")
    strays = [name for name, one in outputs.items() if one.device.type != "cuda"]
    if strays:
        raise Fault(f"on a GPU it gives {strays[0]} elsewhere")


def no_wait(rig: Rig) -> None:
    """Where it asks for a number, a GPU waits in every step."""
    try:
        outputs = _on_pretended_gpu(rig)
    except Exception as error:
        raise NotApplicableError("it fails on a GPU, which `device` tells") from error
    if isinstance(outputs, str):
        raise Fault(f"it asks a tensor for numbers, for which a GPU must stop: {outputs}")


def _on_pretended_gpu(rig: Rig) -> Outputs | str:
    """What it gives on a GPU that is only pretended; in words where it looks at numbers."""
    from torch._subclasses.fake_tensor import (
        DataDependentOutputException,
        DynamicOutputShapeException,
        FakeTensorMode,
    )

    module, inputs = rig.module(), rig.inputs()
    with FakeTensorMode(allow_non_fake_inputs=True):
        for part in module.modules():
            # What `to()` does, which pretended tensors do not take.
            for name, parameter in part._parameters.items():  # noqa: SLF001 - as to() does
                if parameter is not None:
                    part._parameters[name] = nn.Parameter(_pretended(parameter))  # noqa: SLF001 - likewise
            for name, buffer in part._buffers.items():  # noqa: SLF001 - likewise
                if buffer is not None:
                    part._buffers[name] = _pretended(buffer)  # noqa: SLF001 - likewise
        try:
            with torch.no_grad():
                return rig.run(module, mapped(inputs, _pretended))
        except (DataDependentOutputException, DynamicOutputShapeException) as error:
            return str(error).partition("\n")[0]


def _pretended(one: Tensor) -> Tensor:
    return torch.empty(one.shape, dtype=one.dtype, device="cuda")


CHECKS: dict[str, Callable[..., None]] = {
    "device": device,
    "no-wait": no_wait,
}
