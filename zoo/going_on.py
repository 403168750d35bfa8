"""What a run that goes on computes with, and what is not as it was when it began.

A resumed run shall be the unbroken one, bit for bit: it computes as its plan.json says that it
began, and not as would be chosen now. What else may change its bits is told and kept on record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo import hot, provenance, runfolder
from zoo.errors import Mismatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.plan import Plan
    from zoo.progress import Listener
    from zoo.runfolder import RunFolder
    from zoo.training.device import Device


def device(plan: Plan, *, accept: bool) -> Device:
    """What a stored run began to compute with.

    Args:
        plan: the run's.
        accept: whether what this machine has will do, where it has nothing of that.

    Raises:
        Mismatch: it has not, and it will not do.
    """
    try:
        found: Device = hot.room("device").as_begun(plan.device)
    except Mismatch:
        if not accept:
            raise
        layout = plan.backbone.component.facts.layout
        found = hot.room("device").choose("auto", "auto", str(plan["channels_last"]), layout=layout)
    return found


def tell_drift(folder: RunFolder, plan: Plan, now: Mapping[str, Any], hears: Listener) -> None:
    """Say, and keep in plan.json, what may give the rest of a run other bits than it had.

    Args:
        folder: the run's.
        plan: as it began.
        now: what it goes on with, as `Plan.device`.
        hears: hears of each.

    Raises:
        Mismatch: a file that the user named is another: the head would go on with features of other
            weights than it began with, or be taught by another teacher.
    """
    stood_on = provenance.from_json(folder.read(runfolder.PLAN))
    if changed := provenance.file_drift(stood_on, plan):
        told = "\n".join(f"  {one.told}" for one in changed)
        raise Mismatch(
            f"What the run {folder.path} began with is different now:\n{told}",
            hint="Put it back as it was, or start a new run with zoo run.",
        )
    drift = [
        one.told
        for one in (
            *provenance.installed_drift(stood_on, plan),
            *provenance.device_drift(plan.device, now),
        )
    ]
    for told in drift:
        hears.note(f"drift: {told}; the end may differ from an unbroken run's in its last digits")
    folder.keep_drift(drift)
