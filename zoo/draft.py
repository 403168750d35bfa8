"""Before anything is trained: a plan, the data it is for, and the proof that its parts fit."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from zoo import caches, hot, idle, installed, registry
from zoo.data.dataset import Dataset, source, survey
from zoo.data.hashes import Hashes
from zoo.data.rows import listed
from zoo.errors import Mismatch, PluginFault, Refused, UsageError
from zoo.index import Catalog, catalog, load_target
from zoo.machine import cores
from zoo.options import problems
from zoo.plan import Chosen, DataCounts, Plan
from zoo.progress import Listener, Silent
from zoo.resolve import resolve, settle
from zoo.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from zoo.phases import PhasePlan
    from zoo.runfolder import RunFolder
    from zoo.training.assemble import Maker, Proof
    from zoo.training.device import Device

#: the largest class over the smallest, from which a warning is due
_UNBALANCED = 10
#: a stage that is over sooner is not worth showing, seconds
_NOTEWORTHY = 1.0
#: fewer held-out images tell the settings of a sweep apart by chance
_FEW_JUDGES = 30


def _go_on() -> None:
    """Nobody asks to stop."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan put to the proof, before anything is trained: what a dry run shows.

    Args:
        plan: settled.
        dataset: the data's rows and splits.
        proof: widths, parameters and terms.
        device: where it would run.
    """

    plan: Plan
    dataset: Dataset
    proof: Proof
    device: Device

    def notes(self) -> list[str]:
        """What the user should think about before a long run."""
        counts = self.plan.counts
        found = [
            f"{chosen.full_name} is deprecated since {old.since}{old.use and f'; use {old.use}'}"
            for chosen in self.plan.trio
            if (old := chosen.component.deprecated)
        ]
        if counts and counts.imbalance > _UNBALANCED and self.plan["balance"] == "none":
            advice = "consider --set balance=sampler and --metric macro_f1"
            found.append(f"data: classes are unbalanced {counts.imbalance:.0f}:1; {advice}")
        if self.plan["probe.sweep"]:
            classes, images = _judges(self.plan, self.dataset)
            if classes < len(self.dataset.classes) or images < _FEW_JUDGES:
                found.append(
                    f"probe.sweep: only {images} held-out images of {classes} of "
                    f"{len(self.dataset.classes)} classes choose the settings"
                )
        found += [
            f"{phase.name}: {phase.reasons['solver']}"
            for phase in self.plan.phases
            if "solver" in phase.reasons
        ]
        return found + idle.notes(self.plan, own_split=self.dataset.given)


def prepare(
    spec: str,
    given: Mapping[str, object],
    *,
    registry_file: Path | None = None,
    listener: Listener | None = None,
    pause: Callable[[], None] = _go_on,
) -> Draft:
    """Everything up to the first byte written: the plan, settled and proved.

    Args:
        spec: `backbone+head+loss`, or an entry's name.
        given: settings by name.
        registry_file: one more registry.toml.
        listener: hears what is odd.
        pause: called between files that are hashed; raises when somebody asked to stop.

    Raises:
        ZooError: anything that is wrong with the spec, the settings or the data.
    """
    hears = listener or Silent()
    with caches.usable(hears.note):
        return prove(*sketch(spec, given, registry_file, hears, pause))


def sketch(
    spec: str,
    given: Mapping[str, object],
    registry_file: Path | None,
    hears: Listener,
    pause: Callable[[], None],
) -> tuple[Plan, Dataset]:
    """The plan as resolved, and its data: all that can be known without torch. See `prepare`."""
    components = catalog()
    for line in components.notes:
        hears.note(line)
    plan = resolve(
        spec,
        given,
        catalog=components,
        book=registry.load(registry_file, shipped=components.entries_resources),
    )
    if not plan.data:
        raise UsageError(
            "There is no data to train on.",
            hint="Add --data FOLDER (one folder per class), or --data demo for a drawn set.",
        )
    return plan, survey_data(plan, hears, pause)


def survey_data(plan: Plan, hears: Listener, pause: Callable[[], None] = _go_on) -> Dataset:
    """A plan's data: rows, hashes and splits; the listener hears what is odd about them.

    Files that are unchanged since an earlier run are not hashed again (see `zoo.data.hashes`). That
    serves a run that goes on as well: whatever it decodes anew is held to its hash in decoding, and
    what it does not decode is the picture that the hash was taken of.
    """
    path = source(plan.data)
    try:
        found = survey(
            path,
            seed=int(plan["seed"]),
            val_fraction=float(plan["val_fraction"]),
            threads=cores(),
            links="follow" if plan["links"] == "follow" else "refuse",
            hashes=Hashes(path),
            progress=_hashing(hears, pause),
        )
    finally:
        hears.end()
    for line in found.notes():
        hears.note(f"data: {line}")
    return found


def _hashing(hears: Listener, pause: Callable[[], None]) -> Callable[[int, int], None]:
    """Progress of hashing, as a stage of its own where it takes time."""
    began, told = time.monotonic(), 0

    def progress(done: int, total: int) -> None:
        nonlocal told
        pause()
        if not told:
            if time.monotonic() - began < _NOTEWORTHY:
                return
            hears.begin("hash", total, "images")
        hears.advance(done - told)
        told = done

    return progress


def same_data(
    folder: RunFolder, plan: Plan, hears: Listener, pause: Callable[[], None] = _go_on
) -> Dataset:
    """The data again, held equal to what the run began with.

    Raises:
        Mismatch: files came, went or changed.
        BadData: split.json is damaged.
        Refused: something in the run folder is a link.
    """
    dataset = survey_data(plan, hears, pause)
    record = folder.split()
    changed = unlike(record, dataset)
    if changed:
        hint = "Restore the data, or start a new run with zoo run."
        raise Mismatch(told_of(changed), hint=hint)
    return as_begun(record, dataset)


def unlike(record: Mapping[str, Any], dataset: Dataset) -> list[str]:
    """What of a run's data is not as it was: `came: ant/1.png`, `gone: ...`, `changed: ...`.

    Args:
        record: the run's split.json.
        dataset: the data now.
    """
    left_out = {one["name"] for one in record["skipped"]}
    begun = {one["name"]: (one["sha256"], one["class"]) for one in record["files"]}
    now = {
        row.name: (digest, row.label)
        for row, digest in zip(dataset.table.rows, dataset.digests, strict=True)
    }
    return [
        *(f"came: {name}" for name in now if name not in begun and name not in left_out),
        *(f"gone: {name}" for name in begun if name not in now),
        *(f"changed: {name}" for name in begun if name in now and now[name] != begun[name]),
    ]


def told_of(changed: list[str]) -> str:
    """The same in a sentence, and so many lines as one reads."""
    counts = Counter(one.partition(":")[0] for one in changed)
    numbers = f"{counts['came']} files came, {counts['gone']} went, {counts['changed']} changed"
    return f"The data changed since the run began: {numbers}:\n{listed(changed)}"


def as_begun(record: Mapping[str, Any], dataset: Dataset) -> Dataset:
    """Data that are as they were, in the run's own split; a later rule of splitting moves no image.

    Args:
        record: the run's split.json.
        dataset: the data now.
    """
    begun = {one["name"]: one["split"] for one in record["files"]}
    skipped = tuple((one["name"], one["reason"]) for one in record["skipped"])
    rows = dataset.table.rows
    gone = {row for row, one in enumerate(rows) if one.name not in begun}
    splits = tuple(begun.get(one.name, "train") for one in rows)
    return replace(dataset.with_splits(splits).without(gone), skipped=skipped)


def prove(
    plan: Plan,
    dataset: Dataset,
    *,
    phases: tuple[PhasePlan, ...] = (),
    begun: Device | None = None,
) -> Draft:
    """Settle a plan for its data and device, and prove that its parts fit.

    Args:
        plan: as resolved.
        dataset: the data that it is for.
        phases: those of a run that goes on; decided anew where there are none.
        begun: likewise, its device.

    Raises:
        UsageError: nothing can be held out for a sweep.
    """
    layout = plan.backbone.component.facts.layout
    device = begun or _device(plan, layout)
    counts = DataCounts(
        dataset.classes,
        dataset.counts("train"),
        sum(dataset.counts("val")),
        sum(dataset.counts("test")),
    )
    if plan["probe.sweep"] and not _judges(plan, dataset)[1]:
        raise UsageError(
            "probe.sweep holds out images of each class, and no class has images enough for it.",
            hint="Leave probe.sweep out, or add images: three of a class, at least.",
        )
    plan = settle(
        plan, counts, hot.room("device").description(device), accelerator=device.accelerator
    )
    if phases:
        plan = replace(plan, phases=phases)
    hot.room("device").settle_modes(device, deterministic=bool(plan["deterministic"]))
    with _size_as_asked(plan):
        proof = hot.room("assemble").prove(
            makers(plan),
            size=plan.preprocess.size,
            classes=len(counts.classes),
            views=plan.views,
            class_counts=counts.train,
            extras=plan.extras,
        )
    if not layout and begun is None:  # only the modules themselves can tell
        device = _device(plan, proof.layout)
        plan = replace(plan, device=hot.room("device").description(device))
    return Draft(plan, dataset, proof, device)


def _judges(plan: Plan, dataset: Dataset) -> tuple[int, int]:
    """How many classes have images that judge a sweep's settings, and how many images those are."""
    held = dataset.folds(int(plan["seed"]), int(plan["probe.folds"])) >= 0
    return len(set(dataset.targets[dataset.rows("train")][held].tolist())), int(held.sum())


def _device(plan: Plan, layout: str) -> Device:
    """Where a plan's backbone, of this layout, is computed."""
    wanted = (str(plan[name]) for name in ("device", "precision", "channels_last"))
    chosen: Device = hot.room("device").choose(*wanted, layout=layout)
    return chosen


@contextmanager
def _size_as_asked(plan: Plan) -> Iterator[None]:
    """A backbone that fails at a size of the user's choice is not to blame for it.

    Raises:
        UsageError: the user asked for another size than the backbone's own, and it fails.
    """
    try:
        yield
    except PluginFault as error:
        component = plan.backbone.component
        if plan["image_size"] is None or plan.preprocess.size == component.facts.input_size:
            raise
        message = f"image_size = {plan['image_size']}: {error.message}"
        hint = "Leave --image-size out, or choose a backbone that takes other sizes."
        raise UsageError(message, hint=hint) from error


def makers(plan: Plan) -> tuple[Maker, Maker, Maker]:
    """The plan's three components, importable now."""
    components = catalog()
    backbone, head, loss = (_maker(chosen, components) for chosen in plan.trio)
    return backbone, head, loss


def _maker(chosen: Chosen, components: Catalog) -> Maker:
    """A component's builder; the plan says which, what is installed says from where."""
    listed = installed.find(components, wanted(chosen))
    maker: Maker = hot.room("assemble").Maker(
        chosen.title,
        load_target(listed),
        chosen.options,
        listed.component.provides,
        listed.component.facts.features if chosen.kind == "backbone" else None,
    )
    return maker


def wanted(chosen: Chosen) -> installed.Wanted:
    """A plan's component, as `installed` looks for it."""
    return installed.Wanted(
        chosen.kind, chosen.full_name, chosen.plugin, chosen.version, chosen.options
    )


def check_plugins(plan: Plan, components: Catalog) -> None:
    """The stored plan's components must be installed still, and be the same; so must its weights.

    Raises:
        Mismatch: one is gone, or is another.
        Refused: the plan names weights that its backbone does not have.
    """
    for chosen in plan.trio:
        installed.find_same(components, wanted(chosen), chosen.component)
    given = {name: value for name, value in plan.settings.items() if value is not None}
    if wrong := problems(SETTINGS, given):
        message = f"plan.json holds what this zoo does not take: {'; '.join(wrong)}."
        raise Mismatch(message, hint="Use the version of zoo that wrote it.")
    weights = plan.weights
    known = {(one.tag, one.source, one.sha256) for one in plan.backbone.component.weights}
    if weights.mode == "tag" and (weights.tag, weights.source, weights.sha256) not in known:
        raise Refused(
            f"plan.json wants the weights {weights.tag!r} from {weights.source!r}, which "
            f"{plan.backbone.title} does not name.",
            hint="Do not use this run folder unless you know who changed it.",
        )
