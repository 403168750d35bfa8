"""What a component does to the process and to the world."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch

from zoo.testing import audit, state
from zoo.testing.hot.rig import Rig, seed_all
from zoo.testing.outcomes import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: a seed that nobody would choose
_ODD = 987_654_321


def _traces(rig: Rig) -> tuple[list[str], list[str]]:
    """What importing, building and using changed of the process, and what it reached for."""
    known = rig.__dict__.get("traces")
    if known is not None:
        return known  # type: ignore[no-any-return]
    changed: list[str] = []
    seed_all(_ODD, _ODD)
    torch.set_num_threads(2)  # neither what a plugin would set nor what the server has
    inputs = rig.inputs()
    with audit.listening() as reached:
        for stage, work in _stages(rig, inputs):
            before = state.snapshot()
            try:
                work()
            finally:
                changed += [
                    f"{stage}: {words}" for words in state.changes(before, state.snapshot())
                ]
                state.restore(before)
    torch.set_num_threads(1)
    rig.__dict__["traces"] = changed, reached
    return changed, reached


def _stages(rig: Rig, inputs: tuple[Any, ...]) -> Iterator[tuple[str, Callable[[], object]]]:
    """Import, build, train, predict; not through the host, which would put things back."""
    module, _, attribute = rig.component.target.partition(":")
    made: list[Any] = []
    yield "importing it", lambda: import_module(module)
    target = getattr(import_module(module), attribute)
    yield "building it", lambda: made.append(target(rig.first(), **rig.options))
    yield "training with it", lambda: made[0].train()(*inputs)
    yield "predicting with it", lambda: made[0].eval()(*inputs)


def global_state(rig: Rig) -> None:
    """Nothing of the process is another."""
    changed, _ = _traces(rig)
    if changed:
        raise Fault("; ".join(changed[:4]))


def no_reach(rig: Rig) -> None:
    """No network, no files, no programs: weights are the host's business."""
    _, reached = _traces(rig)
    if reached:
        raise Fault("; ".join(reached[:4]))


CHECKS: dict[str, Callable[..., None]] = {
    "global-state": global_state,
    "no-reach": no_reach,
}
