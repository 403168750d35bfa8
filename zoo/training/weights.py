"""Weights files ⇄ state dicts, with nothing silently left out.

A file is safetensors, or a pickle read with `weights_only`. Wrappers that trainers put around a
state dict (`{"state_dict": ...}`, `module.`, `_orig_mod.`) are taken off; what then does not fit is
an error that counts and names it.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from zoo.errors import BadWeights, InputMissing, Refused

if TYPE_CHECKING:
    from pathlib import Path

#: keys under which training scripts keep the state dict
_WRAPPERS = ("state_dict", "model_state_dict", "model", "state_dict_ema", "model_ema")
#: prefixes that wrappers of modules leave on every key
_PREFIXES = ("module.", "_orig_mod.", "backbone.")
#: buffers that older files lack and that no forward pass in eval mode reads
_OPTIONAL = ("num_batches_tracked",)
_SHOWN = 8
#: in what torch says of a pickle: what it asks for that is no tensor
_CODE = re.compile(r"GLOBAL [\w.]+")


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What became of a weights file.

    Args:
        matched: how many of the backbone's tensors the file gave.
        total: how many the backbone has.
        leftover: keys of the file that the backbone has no place for (its old classifier).
    """

    matched: int
    total: int
    leftover: tuple[str, ...]

    def __str__(self) -> str:
        """For the terminal and the run folder."""
        rest = f"; {len(self.leftover)} classifier tensors left over" if self.leftover else ""
        return f"matched {self.matched} of {self.total}{rest}"


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The state dict in a file, unwrapped, on the CPU.

    Raises:
        InputMissing: there is no such file.
        BadWeights: it is neither safetensors nor a pickle of plain tensors.
        Refused: it is a pickle that would run code.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"The weights file {path} cannot be read: {error.strerror}."
        raise InputMissing(message, hint="Check the path given to --weights.") from error
    try:
        content = load_safetensors(data)
    except SafetensorError as first:
        if path.suffix == ".safetensors":
            message = f"{path.name} is no valid safetensors file: {first}."
            raise BadWeights(message, hint="Fetch the file again.") from first
        content = _read_pickle(path)
    return _unprefixed(content)


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # Whatever torch stumbles on in damaged bytes: it has no error of its own for them, and of
        # a pickle that would run code it tells in words only.
        if isinstance(error, pickle.UnpicklingError) and (wanted := _CODE.search(str(error))):
            message = (
                f"{path.name} is a pickle of more than tensors ({wanted[0]}): it was not read."
            )
            hint = "Convert it to safetensors with a tool that you trust."
            raise Refused(message, hint=hint) from error
        message = f"{path.name} holds no plain weights that can be read safely."
        hint = "Convert it to safetensors with a tool that you trust."
        raise BadWeights(message, hint=hint) from error
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    tensors = (
        {key: value for key, value in content.items() if isinstance(value, Tensor)}
        if isinstance(content, Mapping)
        else {}
    )
    if not tensors:
        raise BadWeights(
            f"{path.name} holds no state dict.", hint="Save model.state_dict() instead."
        )
    return tensors


def _unprefixed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off a prefix that every key has, or the `backbone.` part of a whole model of zoo's."""
    for prefix in _PREFIXES:
        if state and all(key.startswith(prefix) for key in state):
            return _unprefixed({key.removeprefix(prefix): value for key, value in state.items()})
    if any(key.startswith("backbone.") for key in state) and any(
        key.startswith("head.") for key in state
    ):
        return {
            key.removeprefix("backbone."): value
            for key, value in state.items()
            if key.startswith("backbone.")
        }
    return state


def load_weights(
    module: nn.Module,
    path: Path,
    *,
    rename: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
    classifier: Sequence[str] = (),
) -> nn.Module:
    """Fill a backbone from a weights file; for the hot half of a plugin.

    Args:
        module: the backbone without its classifier.
        path: safetensors, or a pickle that `weights_only` can read.
        rename: the file's state dict → one with the module's keys.
        classifier: prefixes of keys that belong to the published classifier and may be left over.

    Returns:
        `module`, with a `LoadReport` as its attribute `load_report`.

    Raises:
        InputMissing: there is no such file.
        BadWeights: the file does not fit; the message counts and names what is missing, misshapen,
            of another kind of number (floats of another width are converted), not finite, or left
            over.
        Refused: it is a pickle that would run code.
    """
    state = read_state_dict(path)
    if rename is not None:
        state = rename(state)
    own = module.state_dict()
    missing = [key for key in own if key not in state and not key.endswith(_OPTIONAL)]
    misshapen = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    unfit = [
        f"{key} {_short(state[key])} instead of {_short(own[key])}"
        for key in own
        if key in state and _kind(state[key]) != _kind(own[key])
    ]
    infinite = [key for key in own if key in state and not _is_finite(state[key])]
    leftover = tuple(key for key in state if key not in own)
    strange = [key for key in leftover if not key.startswith(tuple(classifier) or ("\0",))]
    faults = {
        "missing in the file": missing,
        "of another shape": misshapen,
        "of another kind of number": unfit,
        "not finite": infinite,
        "unknown to the backbone": strange,
    }
    if any(faults.values()):
        # A tensor is misshapen, of another kind or not finite; each line begins with its name.
        bad = {line.partition(" ")[0] for line in (*misshapen, *unfit, *infinite)}
        matched = sum(key in state for key in own) - len(bad)
        total = matched + len(bad) + len(missing)
        raise _misfit(path, f"matched {matched} of {total}", faults)
    module.load_state_dict({key: state.get(key, value) for key, value in own.items()})
    # Written through __dict__ since nn.Module knows only tensors and modules as attributes.
    module.__dict__["load_report"] = LoadReport(
        sum(key in state for key in own), len(own), leftover
    )
    return module


def _kind(tensor: Tensor) -> tuple[bool, bool, bool]:
    """What may not be converted silently: real, complex, whole numbers, truth values."""
    return tensor.is_floating_point(), tensor.is_complex(), tensor.dtype == torch.bool


def _short(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _is_finite(tensor: Tensor) -> bool:
    """Whether all numbers of a tensor are; one without numbers (meta) has none that is not."""
    return tensor.is_meta or bool(torch.isfinite(tensor).all())


def _misfit(path: Path, matched: str, faults: Mapping[str, list[str]]) -> BadWeights:
    lines = [f"{path.name} does not fit this backbone: {matched} tensors."]
    for words, keys in faults.items():
        if keys:
            more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
            lines.append(f"  {len(keys)} {words}: {', '.join(keys[:_SHOWN])}{more}")
    return BadWeights("\n".join(lines), hint="Give the weights of this very architecture.")
