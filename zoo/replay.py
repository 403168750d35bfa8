"""A run once more: its plan, with what is installed and with its data, or what of them drifted.

::

    stored run → its plan, and what it stood on → the same here and now, or a refusal, line by line

What the plan had decided (epochs, learning rates, batch sizes) is not decided anew.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import caches, hot, observers, provenance, runfolder, stopping, weights
from zoo.corridor import Run, begun_early, carry_out, write_data
from zoo.draft import as_begun, check_plugins, prove, survey_data, told_of, unlike
from zoo.ending import ending
from zoo.errors import Mismatch, ZooError
from zoo.index import catalog
from zoo.progress import Lines, Listener
from zoo.provenance import Drift, install_line
from zoo.registry import Registry
from zoo.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zoo.data.dataset import Dataset
    from zoo.draft import Draft
    from zoo.plan import Plan


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
        path: the folder of the run to repeat; it is left as it is.
        data: where its images lie now; None for where they were.
        out: the new run folder; must not exist or be empty. None for `runs/NAME-N`.
        observe: plugins whose observers shall hear of the new run.
        accept_drift: go on although something differs, and keep what it is in plan.json.
        listener: hears how it goes; plain lines on standard error when None.

    Returns:
        The new run.

    Raises:
        InputMissing: `path` is no run folder.
        Mismatch: plugins, libraries, files, the device or the data differ, and that is not
            accepted; or a plugin is not installed.
        ZooError: as `run` does.
    """
    began = time.perf_counter()
    hears = listener or Lines()
    with stopping.listening() as stop, caches.usable(hears.note):
        where = None if data is None else str(data)
        once = again(Path(path), where, hears, stop.check, accept=accept_drift)
        plan, dataset = once.plan, once.dataset
        with (
            begun_early(plan, dataset) as ahead,
            hot.room("threads").as_begun(plan.device) as words,
        ):
            if words:
                hears.note(words)
            draft = prove(plan, dataset, phases=plan.phases)
            repeats = once.told(draft)
            for note in draft.notes():
                hears.note(note)
            watchers = observers.select(observe, hears.note)
            if dataset.table.layout != "table":  # a table may lie anywhere
                runfolder.refuse_inside(Path(out or runfolder.RUNS), dataset.table.root)
            with (
                runfolder.new(Path(out) if out else None, plan.entry or plan.spec) as folder,
                ending(folder, hears, stop, resumed=False),
            ):
                folder.write_plan(draft.plan, observe, repeats=repeats)
                write_data(folder, draft)
                return carry_out(folder, draft, hears, stop, watchers, began=began, ahead=ahead)


@dataclass(frozen=True, slots=True)
class Again:
    """A run to be repeated.

    Args:
        run: the folder of the first one.
        plan: its plan, phases and device too, with the components that are installed.
        dataset: its data, in its split.
        drift: what is not as it was.
        accepted: whether it is repeated all the same.
    """

    run: Path
    plan: Plan
    dataset: Dataset
    drift: tuple[Drift, ...]
    accepted: bool

    def told(self, draft: Draft) -> dict[str, Any]:
        """What plan.json and summary.json say of the first run: its folder, and the drift.

        Args:
            draft: the repeated run's, which knows its device.

        Raises:
            Mismatch: the device is another, and nobody accepted that.
        """
        device = provenance.device_drift(self.plan.device, draft.plan.device)
        if device and not self.accepted:
            raise _refused(self.run, device)
        drift = [one.told for one in (*self.drift, *device)]
        return {"run": str(self.run.resolve()), "drift": drift}


def again(
    run: Path,
    data: str | None,
    hears: Listener,
    pause: Callable[[], None],
    *,
    accept: bool = False,
) -> Again:
    """A run's plan and data, as they were or, where that is accepted, as they are now.

    Args:
        run: its folder.
        data: where its images lie now; None for where they were.
        hears: hears what is odd about the data, and of each drift that is accepted.
        pause: called between files that are hashed; raises when somebody asked to stop.
        accept: whether to go on whatever drifted.

    Raises:
        InputMissing: it is no run folder, or its data are not there.
        Mismatch: something drifted and that is not accepted, or cannot be got over.
        Refused: the plan names weights that its backbone does not have.
    """
    folder = runfolder.find(run)
    record = folder.read(runfolder.PLAN)
    stood_on = provenance.from_json(record)
    for told in catalog().notes:
        hears.note(told)
    plan = folder.plan() if data is None else replace(folder.plan(), data=data)
    drift = provenance.drift(stood_on, plan)
    if not stood_on.used:
        hears.note("provenance: an older zoo made the run, and kept no hashes of its plugins")
    dataset = survey_data(plan, hears, pause)
    split = folder.split()
    changed = unlike(split, dataset)
    if changed:
        drift.append(Drift(told_of(changed)))
    if _same_plugins(plan):
        drift += weights.drift(stood_on.loaded, plan, hears, pause)
    if drift and not accept:
        raise _refused(run, drift)
    for one in drift:
        hears.note(f"drift: {one.told}")
    return Again(
        run=run,
        plan=_installed(plan, drifted=bool(drift)),
        dataset=dataset if changed else as_begun(split, dataset),
        drift=tuple(drift),
        accepted=accept,
    )


def _same_plugins(plan: Plan) -> bool:
    """Whether the installed components are the plan's; only then its weights may be looked at."""
    try:
        check_plugins(plan, catalog())
    except ZooError:  # told or got over by `_installed`
        return False
    return True


def _refused(run: Path, drift: Sequence[Drift]) -> Mismatch:
    """That the run would be another, what differs, and what to type."""
    lines = (f"{one.told}: {line}" if (line := install_line([one])) else one.told for one in drift)
    told = "\n".join(f"  {line}" for line in lines)
    whole = install_line(drift) if sum(bool(one.wanted) for one in drift) > 1 else ""
    restore = f"Restore it ({whole})" if whole else "Restore it"
    return Mismatch(
        f"What the run {run} was made with is different now:\n{told}",
        hint=f"{restore}, or add --accept-drift to run with what is there.",
    )


def _installed(plan: Plan, *, drifted: bool) -> Plan:
    """The plan, if the installed components are the very ones; else, after a drift, one of them.

    Raises:
        Mismatch: a component is gone, or is another though nothing drifted.
        ZooError: the installed components do not take what the plan asks of them.
    """
    components = catalog()
    try:
        check_plugins(plan, components)
    except Mismatch:
        if not drifted:
            raise
    else:
        return plan
    found = resolve(plan.spec, _asked(plan), catalog=components, book=Registry())
    return replace(
        found, entry=plan.entry, origins=plan.origins, phases=plan.phases, device=plan.device
    )


def _asked(plan: Plan) -> Mapping[str, object]:
    """A plan's settings and options as a command line would give them."""
    options = {
        f"{one.kind}.{name}": value for one in plan.trio for name, value in one.options.items()
    }
    asked = {**plan.settings, **options, "data": plan.data}
    if plan.weights.file:
        asked["weights"] = plan.weights.file
    if plan.teacher:
        asked["loss.teacher"] = plan.teacher
    return {name: value for name, value in asked.items() if value is not None}
