"""Checks of backbones: what they state of themselves, and how they are filled from files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from zoo.errors import ZooError
from zoo.testing import state
from zoo.testing.cold import installed_weights, is_stated
from zoo.testing.hot.comparing import CLOSE, check_equal, check_finite, near
from zoo.testing.outcomes import Fault, NotApplicableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from zoo.testing.hot.rig import Backbone

_DIMENSIONS = 2
#: the share of parameters in convolutions that makes a network one of convolutions
_MOSTLY = 0.9


def ports(rig: Backbone) -> None:
    """Features `[N, D]` of the stated width, float32, in training and in evaluation."""
    if "features" not in rig.component.provides:
        raise NotApplicableError("it provides no features; other ports have no form yet")
    module = rig.module()
    for training in (True, False):
        features = rig.run(module.train(training), rig.inputs())["features"]
        if features.ndim != _DIMENSIONS or len(features) != len(rig.inputs()[0]):
            raise Fault(f"it gives {tuple(features.shape)}, not [N, D]")
        if features.dtype != torch.float32:
            raise Fault(f"it gives features of {features.dtype}")
        if rig.component.facts.features not in (None, features.shape[1]):
            stated = rig.component.facts.features
            raise Fault(f"it states {stated} features and gives {features.shape[1]}")
        check_finite({"features": features}, "of ordinary images")


def facts(rig: Backbone) -> None:
    """Parameters and layout; the width of features is for `ports`."""
    stated = rig.component.facts
    if stated.params is None and not stated.layout:
        raise NotApplicableError("it states neither parameters nor layout")
    with torch.device("meta"):
        module = rig.build()
    count = sum(one.numel() for one in module.parameters())
    if stated.params not in (None, count):
        raise Fault(f"it states {stated.params:,} parameters and has {count:,}")
    convolutions = [one for one in module.modules() if isinstance(one, torch.nn.Conv2d)]
    share = sum(one.weight.numel() for one in convolutions) / max(1, count)
    # Between these, what profits from channels last is for measurements to say.
    clearly = "conv" if share > _MOSTLY else "token" if share < 1 - _MOSTLY else stated.layout
    if stated.layout not in ("", clearly):
        raise Fault(f"it states the layout {stated.layout}, and {share:.0%} of it are convolutions")


def memory_format(rig: Backbone) -> None:
    """Where convolutions run faster channels last, the engine lays images and weights out so."""
    module = rig.module().eval()
    images = rig.inputs()[0]
    with torch.no_grad():
        usual = rig.run(module, (images,))["features"]
        last = torch.channels_last
        module = module.to(memory_format=last)  # type: ignore[no-matching-overload]  # torch has it
        other = rig.run(module, (images.contiguous(memory_format=last),))["features"]
    if not near(other, usual, CLOSE):
        raise Fault("images laid out channels last give other features")


def image_size(rig: Backbone) -> None:
    """The width of features is a fact, for every size of image that it takes."""
    with torch.device("meta"), torch.no_grad():
        module = rig.build().eval()
    height, width = rig.size
    with torch.no_grad():
        usual = rig.run(module, (torch.empty(2, 3, height, width, device="meta"),))["features"]
        taken = 0
        for share in (1.25, 1.5, 2.0):
            size = int(height * share), int(width * share)
            try:
                other = rig.run(module, (torch.empty(2, 3, *size, device="meta"),))["features"]
            except Exception:  # noqa: BLE001, S112 - it may want one size
                continue
            taken += 1
            if other.shape != usual.shape:
                told = f"{tuple(other.shape)} of {size}, {tuple(usual.shape)} of {rig.size}"
                raise Fault(f"it gives features {told} pixels")
    if not taken:
        raise NotApplicableError("it takes images of one size alone")


def unspoilt(rig: Backbone) -> None:
    """What weights it starts from is for the host to say, and None says none."""
    states = [dict(rig.module(seed).named_parameters()) for seed in (0, 1)]
    if not states[0]:
        raise NotApplicableError("it has no parameters")
    if all(torch.equal(one, states[1][name]) for name, one in states[0].items()):
        raise Fault("without weights it starts from the same numbers under every seed")


# --- weights ---


def weights_file(rig: Backbone) -> None:
    """A saved state dict becomes the module's, tensor by tensor, and that is reported."""
    module = rig.module(1)
    with tempfile.TemporaryDirectory() as folder:
        saved = {name: one.clone() for name, one in module.state_dict().items()}
        loaded = rig.under(weights=_saved(saved, Path(folder))).build(seed=2)
    check_equal(loaded.state_dict(), saved, "after loading a file of its own state")
    if getattr(loaded, "load_report", None) is None:
        raise Fault("it does not load by zoo.load_weights: what became of the file is not reported")


def weights_errors(rig: Backbone) -> None:
    """What is missing, left over, misshapen or not there at all is refused in zoo's own words."""
    state_dict = dict(rig.module().state_dict())
    floats = [name for name, one in state_dict.items() if one.is_floating_point() and one.numel()]
    if not floats:
        raise NotApplicableError("it has no parameters")
    first = floats[0]
    lacking = {name: one for name, one in state_dict.items() if name != floats[-1]}
    wrong = {
        f"a file without {floats[-1]}": lacking,
        "a file with a tensor that it has no place for": {
            **state_dict,
            "zoo_no_such_part.weight": torch.zeros(1),
        },
        f"a file whose {first} has another shape": {
            **state_dict,
            first: torch.zeros(*state_dict[first].shape, 2),
        },
        "a file that does not exist": None,
    }
    with tempfile.TemporaryDirectory() as folder:
        for what, tensors in wrong.items():
            file = _saved(tensors, Path(folder)) if tensors else Path(folder) / "none.safetensors"
            _check_refused(rig, file, what)


def _check_refused(rig: Backbone, file: Path, what: str) -> None:
    try:
        with state.kept():
            rig.under(weights=file).build()
    except ZooError:
        return
    except Exception as error:
        told = f"{type(error).__name__}: {error}".partition("\n")[0][:120]
        raise Fault(f"{what} is no error of zoo's, but {told}") from error
    raise Fault(f"{what} is accepted")


def published(rig: Backbone) -> None:
    """Weights that are installed with a package: the stated file, and it fits."""
    for weights in rig.component.weights:
        file = installed_weights(weights)
        if file is None:
            continue
        if not file.is_file():
            raise Fault(f"{weights.source} is not there")
        if weights.sha256 and not is_stated(file, weights.sha256):
            raise Fault(f"{weights.source} has another sha256 than the stated one")
        module = rig.under(weights=file).build()
        features = rig.run(module.eval(), rig.inputs())["features"]
        check_finite({"features": features}, f"with {weights.tag}")


def _saved(tensors: dict[str, Tensor], folder: Path) -> Path:
    from safetensors.torch import save_file

    file = folder / "weights.safetensors"
    save_file({name: one.detach().clone().contiguous() for name, one in tensors.items()}, file)
    return file


CHECKS: dict[str, Callable[[Backbone], None]] = {
    "ports": ports,
    "facts": facts,
    "image-size": image_size,
    "unspoilt": unspoilt,
    "memory-format": memory_format,
    "weights-file": weights_file,
    "weights-errors": weights_errors,
    "published": published,
}
