"""Saving a phase in progress, and finding it again.

A checkpoint is a folder `step-XXXXXXXX` of safetensors and JSON. It is filled under another name,
read back, vouched for by its `manifest.json` and only then given its name; so whatever is called
`step-...` was whole once, and the manifest tells whether it still is. `last.json` and `best.json`
point to checkpoints; they are hints, the manifests decide. The two newest are kept.
"""

from __future__ import annotations

import contextlib
import copy
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from zoo import manifest
from zoo.errors import BadData, Diverged, Mismatch
from zoo.files import new_folder, remove_folder, set_aside, write_bytes, write_json
from zoo.training.fit import Position, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch.optim import Optimizer

_KEPT = 2
_ASIDE = ".old"
LAST, BEST = "last.json", "best.json"
_STATE, _OPTIMIZER, _BEST_STATE = "state.safetensors", "optimizer.safetensors", "best.safetensors"
_POSITION = "position.json"
#: checkpoints are numbered by phase and step: a phase has fewer steps than this
_STEPS = 10_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """A whole checkpoint.

    Args:
        folder: where it is.
        described: as it was given to `save_checkpoint`.
        position: of the phase in progress.
        manifest: what vouches for its files.
    """

    folder: Path
    described: Mapping[str, Any]
    position: Position
    manifest: Mapping[str, Any]


def save_checkpoint(
    folder: Path, task: Task, described: Mapping[str, Any], seals: Mapping[str, Any]
) -> Path:
    """Write a checkpoint of a phase.

    Args:
        folder: the run's `checkpoints/`.
        task: what to save.
        described: what else the run must know to go on: `phase` (which, from 0), `records` (lines
            of metrics.jsonl that belong to it), and what it says of phases done.
        seals: what this run is and no other (see `RunFolder.seals`).

    Returns:
        The checkpoint's folder.

    Raises:
        Diverged: a number in it is not finite; nothing is written.
        StorageFault: it could not be written; older checkpoints are untouched.
    """
    tensors = {
        _STATE: _whole(task.learner.state()),
        _OPTIMIZER: _whole(_optimizer_tensors(task.optimizer)),
        _BEST_STATE: _whole(task.best_state),
    }
    _refuse_infinite(tensors, task)
    target = folder / f"step-{described['phase'] * _STEPS + task.position.step:08d}"
    position = {**described, "position": asdict(task.position)}
    if not _holds(target, position):
        parts = {
            **{name: save(held) for name, held in tensors.items()},
            _POSITION: json.dumps(position).encode(),
        }
        with new_folder(target) as unnamed:
            for name, data in parts.items():
                write_bytes(unnamed / name, data)
            manifest.seal(
                unnamed, parts, {"step": task.position.step, "finite": True, "seals": dict(seals)}
            )
            # Good under another name until the new one has its own.
            set_aside(target, target.with_suffix(_ASIDE))
    _point(folder, target, task, described)
    _retain(folder, target)
    return target


def _retain(folder: Path, newest: Path) -> None:
    """Keep the newest whole checkpoints, this one among them, and remove all others."""
    kept = 1
    for other in reversed([one for one in _by_age(folder) if one != newest]):
        if kept < _KEPT and other.suffix != _ASIDE and _is_whole(other):
            kept += 1
        else:
            remove_folder(other)


def _point(folder: Path, target: Path, task: Task, described: Mapping[str, Any]) -> None:
    """Let `last.json`, and `best.json` where an epoch was the best so far, name a checkpoint."""
    write_json(folder / LAST, {"checkpoint": target.name})
    if task.best_state:
        best = {"phase": described["phase"], "epoch": task.position.best_epoch}
        held = {"checkpoint": target.name, "file": _BEST_STATE, "figure": task.position.best}
        write_json(folder / BEST, {**held, **best})


def newest_checkpoint(
    folder: Path, seals: Mapping[str, Any], note: Callable[[str], None]
) -> Found | None:
    """The newest checkpoint whose every byte is as its manifest says.

    Args:
        folder: the run's `checkpoints/`.
        seals: what the run folder says now; must be what the checkpoint was saved under.
        note: hears of damaged checkpoints that are passed over.

    Returns:
        None when the run has never saved one.

    Raises:
        BadData: there are checkpoints, and none of them is whole.
        Mismatch: the run's plan, classes or split are not those of the checkpoint, or a newer zoo
            wrote it.
        Refused: it reaches outside of the run folder.
    """
    manifest.refuse_link(folder)
    candidates = _by_age(folder)
    for place, candidate in enumerate(reversed(candidates)):
        try:
            found = _read(candidate)
        except manifest.Damaged as error:
            note(f"checkpoint: {error.message}")
            continue
        _refuse_another(candidate, found.manifest["seals"], seals)
        if place:
            note(f"checkpoint: going on from the one before, {candidate.name}.")
        return found
    if candidates or (folder / LAST).exists():
        raise BadData(
            f"No checkpoint in {folder} is whole (of {len(candidates)}).",
            hint="Start the run anew with zoo run; its plan is in plan.json.",
        )
    return None


def _read(candidate: Path) -> Found:
    """A checkpoint's account of itself, all of its files being whole.

    Raises:
        Damaged: they are not, or it is no checkpoint.
        Mismatch: a newer zoo wrote it.
        Refused: it reaches outside of its folder.
    """
    said = manifest.verified(candidate)
    for name in (_STATE, _OPTIMIZER, _BEST_STATE):
        if name not in said["files"]:
            raise manifest.Damaged(f"{candidate} holds no {name}.")
    try:
        described = json.loads(manifest.part(candidate, _POSITION, said))
        seals = said["seals"]
        if not isinstance(seals["plan"], dict):
            raise TypeError  # noqa: TRY301 - told as damage below
        return Found(candidate, described, Position(**described["position"]), said)
    except (ValueError, KeyError, TypeError) as error:
        raise manifest.Damaged(f"{candidate} is no checkpoint of a run.") from error


def restore(task: Task, found: Found) -> None:
    """Put a checkpoint's state into a task that was built from the same plan.

    Raises:
        Mismatch: its tensors do not fit the modules as they are installed now.
        Damaged: it was changed since it was found.
    """
    parts = {
        name: manifest.part(found.folder, name, found.manifest)
        for name in (_STATE, _OPTIMIZER, _BEST_STATE)
    }
    try:
        files = {name: load(data) for name, data in parts.items()}
        task.learner.restore(files[_STATE])
        _restore_optimizer(task.optimizer, files[_OPTIMIZER])
    except (RuntimeError, ValueError, KeyError, SafetensorError) as error:
        words = str(error).split("\n")[-1].strip()
        raise Mismatch(
            f"{found.folder} does not fit the plugins as installed here: {words}",
            hint="Install the versions named in plan.json.",
        ) from error
    task.best_state = files[_BEST_STATE]
    task.position = copy.deepcopy(found.position)


def _by_age(folder: Path) -> list[Path]:
    """The checkpoints, oldest first: by their number, since a clock may jump."""
    numbered = []
    for path in folder.glob("step-*"):
        with contextlib.suppress(ValueError):
            number = int(path.name.removeprefix("step-").removesuffix(_ASIDE))
            numbered.append((number, path.suffix != _ASIDE, path))
    return [path for *_, path in sorted(numbered)]


def _holds(folder: Path, position: Mapping[str, Any]) -> bool:
    """Whether a checkpoint is there, whole, and of this very position (whatever time it took)."""
    try:
        found = _read(folder)
    except (BadData, Mismatch):
        return False
    now = json.loads(json.dumps(position))
    return {**found.described, "seconds": None} == {**now, "seconds": None}


def _is_whole(folder: Path) -> bool:
    try:
        manifest.verified(folder)
    except (BadData, Mismatch):
        return False
    return True


def _refuse_another(candidate: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Go on in the run that the checkpoint is of, and in no other."""
    differing = [f"{name}.json" for name in ("classes", "split") if then.get(name) != now[name]]
    differing += ["the teacher"] if then.get("teacher", "") != now["teacher"] else []
    was, is_now = _flat(then["plan"]), _flat(now["plan"])
    differing += [
        f"plan.json: {key} is {is_now.get(key)!r}, was {was.get(key)!r}"[:300]
        for key in sorted({*was, *is_now})
        if was.get(key) != is_now.get(key)
    ]
    if differing:
        listed = "\n".join(f"  {line}" for line in differing)
        raise Mismatch(
            f"The run is not the one that {candidate} was saved in. Changed since:\n{listed}",
            hint="Put the files back, or start a new run with zoo run.",
        )


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, by dotted keys."""
    flat: dict[str, Any] = {}
    for key, one in value.items():
        flat |= _flat(one, f"{prefix}{key}.") if isinstance(one, dict) else {f"{prefix}{key}": one}
    return flat


def _refuse_infinite(tensors: Mapping[str, Mapping[str, Tensor]], task: Task) -> None:
    for file, held in tensors.items():
        for name, tensor in held.items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise Diverged(
                    f"{name} ({file}) is not finite at step {task.position.step} of the "
                    f"{task.phase.name} phase. No checkpoint was written of it.",
                    hint="Try a lower --lr; zoo resume goes on from the checkpoint before.",
                    facts={
                        "phase": task.phase.name,
                        "epoch": task.position.epoch + 1,
                        "step": task.position.step,
                        "tensor": f"{file}: {name}",
                    },
                )


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
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        parameter = parameters[int(index)]
        if tensor.shape == parameter.shape:
            # Laid out in memory as the parameter is: fused kernels walk both side by side.
            tensor = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)  # noqa: PLW2901
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": described["param_groups"]})
