"""A finished or stopped run, done again from its plan: the same settings, data, split and parts.

What differs from then is found before anything is trained, told line by line, and refused unless it
is accepted. Without drift, on the same machine, the figures are the same to the last digit.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import hot, installed, observers, provenance, runfolder, stopping
from zoo.corridor import Run, begun_early, carry_out, write_data
from zoo.draft import prove, same_data, survey_data, wanted
from zoo.ending import ending
from zoo.errors import Mismatch
from zoo.index import catalog
from zoo.progress import Lines
from zoo.specify import specified

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.data.dataset import Dataset
    from zoo.plan import Chosen, Plan
    from zoo.progress import Listener
    from zoo.runfolder import RunFolder


def repeat(
    path: str | Path,
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    observe: Sequence[str] = (),
    accept_drift: bool = False,
    listener: Listener | None = None,
) -> Run:
    """Do a run again, into a folder of its own.

    Args:
        path: the folder of the run to repeat.
        data: where its images lie now; None for where they were.
        out: the new run folder; must not exist or be empty. None for `runs/NAME-N`.
        observe: plugins whose observers shall hear of the new run.
        accept_drift: go on although something differs, and keep what it is in plan.json.
        listener: hears how it goes; plain lines on standard error when None.

    Returns:
        The new run.

    Raises:
        InputMissing: `path` is no run folder.
        Mismatch: plugins, libraries, the device or the data differ, and that is not accepted; or a
            plugin is not installed.
        ZooError: as `run` does.
    """
    began = time.perf_counter()
    hears = listener or Lines()
    before = runfolder.find(Path(path))
    plan = before.plan() if data is None else replace(before.plan(), data=str(data))
    listed = {one.plugin: one.version for one in catalog().listed}
    drift = provenance.drift(before.read(runfolder.PLAN), listed)
    with stopping.listening() as stop:
        dataset, changed = _data(before, plan, hears, stop)
        drift += changed
        if drift and not accept_drift:
            raise _refusal(before, drift)
        plan = _as_installed(plan)
        with begun_early(plan, dataset) as ahead:
            if note := hot.room("threads").as_begun(plan.device):
                hears.note(note)
            phases = () if changed else plan.phases
            draft = prove(plan, dataset, phases=phases)
            drift += _device_drift(plan, draft.plan)
            if drift and not accept_drift:
                raise _refusal(before, drift)
            for line in drift:
                hears.note(f"drift accepted: {line}")
            watchers = observers.select(observe, hears.note)
            with (
                runfolder.new(Path(out) if out else None, plan.entry or plan.spec) as folder,
                ending(folder, hears, stop, resumed=False),
            ):
                folder.write_plan(
                    draft.plan, observe, repeats={"run": str(before.path), "drift": drift}
                )
                write_data(folder, draft)
                return carry_out(folder, draft, hears, stop, watchers, began=began, ahead=ahead)


def _data(
    before: RunFolder, plan: Plan, hears: Listener, stop: stopping.Stop
) -> tuple[Dataset, list[str]]:
    """The run's images in its split; or, where they changed, the images as they are, and how."""
    if not before.has(runfolder.SPLIT):
        return survey_data(plan, hears, stop.check), []
    try:
        return same_data(before, plan, hears, stop.check), []
    except Mismatch as error:
        return survey_data(plan, hears, stop.check), error.message.split("\n")


def _as_installed(plan: Plan) -> Plan:
    """The plan with its components as the installed plugins describe them now.

    Raises:
        Mismatch: a plugin is not installed, or its component has other options.
    """
    components = catalog()

    def now(chosen: Chosen) -> Chosen:
        listed = installed.find(components, wanted(chosen))
        component, options = specified(listed.component, chosen.options, listed.full_name)
        return replace(chosen, component=component, options=options, version=listed.version)

    return replace(plan, backbone=now(plan.backbone), head=now(plan.head), loss=now(plan.loss))


def _device_drift(then: Plan, now: Plan) -> list[str]:
    return [
        f"{what} was {then.device[what]} and is {now.device.get(what)}"
        for what in ("name", "precision")
        if what in then.device and then.device[what] != now.device.get(what)
    ]


def _refusal(before: RunFolder, drift: Sequence[str]) -> Mismatch:
    told = "\n".join(f"  {line}" for line in drift)
    return Mismatch(
        f"What the run {before.path} was made with is different now:\n{told}",
        hint="Restore it, or add --accept-drift to run with what is there.",
    )
