"""Whether what a module learned can be taken to another process: two checks, in two processes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from zoo.testing.hot.comparing import check_equal, check_finite
from zoo.testing.hot.keeping import strays
from zoo.testing.outcomes import Fault, NotApplicableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from zoo.testing.hot.rig import Outputs, Rig


def state_dict(rig: Rig, folder: Path) -> None:
    """Saved, loaded into another, it answers as before, to the bit."""
    used, other = rig.stir(rig.module(0)).train(), rig.module(1).train()
    for each in (2, 3):
        rig.run(used, rig.inputs(seed=each))
    found = strays(used)
    if found:
        raise Fault(f"{found[0]} is trained and no parameter: nobody optimises or saves it")
    saved = used.state_dict()
    strange = [name for name, value in saved.items() if not isinstance(value, Tensor)]
    if strange:
        raise Fault(f"its state dict holds {strange[0]}, which is no tensor")
    saved = {name: value.detach().clone().contiguous() for name, value in saved.items()}
    check_finite({name: one for name, one in saved.items() if one.is_floating_point()}, "its state")
    save_file(saved, _file(rig, folder, "state"))
    other.load_state_dict(load_file(_file(rig, folder, "state")))
    expected = _answers(rig, used)
    torch.save(expected, _file(rig, folder, "answers"))
    check_equal(_answers(rig, other), expected, "after loading its state dict")


def elsewhere(rig: Rig, folder: Path) -> None:
    """A finished model is built anew and filled where nothing knows of the run: `zoo predict`."""
    if not _file(rig, folder, "answers").exists():
        raise NotApplicableError("it left no state dict, which `state-dict` tells")
    module = rig.module(1).train()
    module.load_state_dict(load_file(_file(rig, folder, "state")))
    expected = torch.load(_file(rig, folder, "answers"), weights_only=True)
    check_equal(_answers(rig, module), expected, "in another process, with its state dict")


def _answers(rig: Rig, module: nn.Module) -> Outputs:
    """What it gives in training and in evaluation."""
    return {
        f"{name} (training: {training})": one.detach()
        for training in (False, True)
        for name, one in rig.run(module.train(training), rig.inputs(seed=4), 9).items()
    }


def _file(rig: Rig, folder: Path, what: str) -> Path:
    name = hashlib.sha256(f"{rig.kind} {rig.listed.full_name}".encode()).hexdigest()[:24]
    return folder / f"{name}.{what}"


CHECKS: dict[str, Callable[[Rig, Path], None]] = {"state-dict": state_dict, "elsewhere": elsewhere}
