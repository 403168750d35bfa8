"""Whether a module can be sent to another process and works there: two checks, in two processes."""

from __future__ import annotations

import hashlib
import pickle
from typing import TYPE_CHECKING

from torch import nn

from zoo.testing.hot.rig import Rig, check_equal
from zoo.testing.outcomes import Fault, NotApplicableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _file(rig: Rig, folder: Path) -> Path:
    name = hashlib.sha256(f"{rig.kind} {rig.listed.full_name}".encode()).hexdigest()[:24]
    return folder / f"{name}.pickle"


def pickles(rig: Rig, folder: Path) -> None:
    """Pickled, with what it answers."""
    module = rig.stir(rig.module()).eval()
    expected = {name: one.detach() for name, one in rig.run(module, rig.inputs()).items()}
    try:
        data = pickle.dumps((module, expected))
    except Exception as error:
        raise Fault(f"it cannot be pickled: {type(error).__name__}: {error}") from error
    _file(rig, folder).write_bytes(data)


def unpickles(rig: Rig, folder: Path) -> None:
    """Unpickled where its package was not imported before, it answers the same."""
    file = _file(rig, folder)
    if not file.exists():
        raise NotApplicableError("it could not be pickled")
    module, expected = pickle.loads(file.read_bytes())  # noqa: S301 - written by the check before
    if not isinstance(module, nn.Module):
        raise Fault(f"it becomes a {type(module).__name__} in another process")
    check_equal(rig.run(module, rig.inputs()), expected, "in another process")


CHECKS: dict[str, Callable[[Rig, Path], None]] = {"pickles": pickles, "unpickles": unpickles}
