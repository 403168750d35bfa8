"""Saving a phase in progress, and finding it again.

A checkpoint is a folder `step-XXXXXXXX` of safetensors and JSON, complete when its `manifest.json`
(sizes and SHA-256 of all else) is there, which is written last. The two newest are kept.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from zoo.errors import BadData
from zoo.files import write_bytes, write_json
from zoo.training.fit import Position, Task

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch.optim import Optimizer

_KEPT = 2
_MANIFEST = "manifest.json"


def save_checkpoint(folder: Path, task: Task, described: Mapping[str, Any]) -> Path:
    """Write a checkpoint of a phase.

    Args:
        folder: the run's `checkpoints/`.
        task: what to save.
        described: what else the run must know to go on: `phase` (which, from 0), `records` (lines
            of metrics.jsonl that belong to it), and what it says of phases done.

    Returns:
        The checkpoint's folder.

    Raises:
        StorageFault: it could not be written; older checkpoints are untouched.
    """
    number = described["phase"] * 10_000_000 + task.position.step
    target = folder / f"step-{number:08d}"
    target.mkdir(parents=True, exist_ok=True)
    (target / _MANIFEST).unlink(missing_ok=True)
    parts = {
        "state.safetensors": save(_whole(task.learner.state())),
        "optimizer.safetensors": save(_whole(_optimizer_tensors(task.optimizer))),
        "best.safetensors": save(_whole(task.best_state)),
        "position.json": json.dumps({**described, "position": asdict(task.position)}).encode(),
    }
    for name, data in parts.items():
        write_bytes(target / name, data)
    manifest = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in parts.items()
    }
    write_json(target / _MANIFEST, {"schema": 1, "files": manifest})
    for old in sorted(folder.glob("step-*"))[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def newest_checkpoint(folder: Path) -> tuple[dict[str, Any], Path] | None:
    """The newest checkpoint whose every byte is as its manifest says, and its position.

    Returns:
        None when the run has none at all.

    Raises:
        BadData: there are checkpoints, and none of them is whole.
    """
    found = sorted(folder.glob("step-*"), reverse=True)
    for candidate in found:
        if _is_whole(candidate):
            return json.loads((candidate / "position.json").read_text()), candidate
    if any((candidate / _MANIFEST).exists() for candidate in found):
        raise BadData(
            f"No checkpoint in {folder} is whole (of {len(found)}).",
            hint="Start the run anew with zoo run; its plan is in plan.json.",
        )
    return None


def restore(task: Task, checkpoint: Path, position: dict[str, Any]) -> None:
    """Put a checkpoint's state into a task that was built from the same plan."""
    state = load((checkpoint / "state.safetensors").read_bytes())
    task.learner.restore(state)
    task.best_state = load((checkpoint / "best.safetensors").read_bytes())
    _restore_optimizer(task.optimizer, load((checkpoint / "optimizer.safetensors").read_bytes()))
    task.position = Position(**position["position"])


def _is_whole(folder: Path) -> bool:
    try:
        files = json.loads((folder / _MANIFEST).read_text())["files"]
        for name, described in files.items():
            data = (folder / name).read_bytes()
            if len(data) != described["size"]:
                return False
            if hashlib.sha256(data).hexdigest() != described["sha256"]:
                return False
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return False
    return True


def _whole(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def _optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as `PARAMETER.KEY` → tensor; numbers become tensors of one element."""
    return {
        f"{index}.{key}": value if isinstance(value, Tensor) else torch.tensor(float(value))
        for index, state in optimizer.state_dict()["state"].items()
        for key, value in state.items()
        if value is not None
    }


def _restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    described = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": described["param_groups"]})
