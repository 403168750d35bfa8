"""The way of a run, from what the user typed to a finished run folder.

`run` and `resume` are a handful of calls to the rooms, in the order in which data flows.
"""

from __future__ import annotations

import time
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import (
    caches,
    files,
    going_on,
    hot,
    inference,
    locks,
    observers,
    report,
    runfolder,
    stopping,
    summary,
    weights,
)
from zoo.draft import Draft, check_plugins, makers, prove, same_data, sketch, survey_data
from zoo.encoding import line
from zoo.ending import ending
from zoo.errors import (
    Mismatch,
    Stopped,
    UsageError,
)
from zoo.index import catalog
from zoo.pictures import Begun, begun, ingested
from zoo.progress import Lines, Listener

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from zoo.data.dataset import Dataset
    from zoo.data.ingest import Images
    from zoo.featurestore import FeatureStore
    from zoo.history import EpochRecord
    from zoo.plan import Plan
    from zoo.runfolder import RunFolder
    from zoo.training.checkpoints import Found
    from zoo.training.model import Model
    from zoo.training.predictor import Predictor
    from zoo.training.session import Session


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run.

    Args:
        folder: where all of it is.
        summary: as summary.json has it.
    """

    folder: Path
    summary: Mapping[str, Any]

    def __repr__(self) -> str:
        """Spec, figures and folder in a few lines."""
        return "\n".join(report.lines(self.summary, self.folder))

    def _repr_html_(self) -> str:
        """The same for notebooks."""
        from html import escape

        return f"<pre>{escape(repr(self))}</pre>"

    def load(self, device: str = "auto") -> Predictor:
        """The finished model."""
        return inference.load(self.folder, device=device)


def run(  # noqa: PLR0913 - the command line's options, by the same names
    spec: str,
    data: str | Path | None = None,
    *,
    out: str | Path | None = None,
    registry_file: Path | None = None,
    observe: Sequence[str] = (),
    listener: Listener | None = None,
    settings: Mapping[str, object] | None = None,
    **more: object,
) -> Run:
    """Fine-tune a spec or an entry on labelled images.

    Args:
        spec: `backbone+head+loss`, or an entry's name.
        data: folder or table of labelled images; `demo` for the drawn set.
        out: the run folder; must not exist or be empty. None for `runs/NAME-N`.
        registry_file: one more registry.toml.
        observe: plugins whose observers shall hear of the run.
        listener: hears how it goes; plain lines on standard error when None.
        settings: by name, dotted ones too (`{"probe.epochs": 50, "head.dropout": 0.1}`).
        more: the same for names without a dot: `epochs=5`.

    Returns:
        The finished run.

    Raises:
        ZooError: see `zoo.errors`; a run that fails before training leaves nothing behind.
    """
    began = time.perf_counter()
    hears = listener or Lines()
    given = {**(settings or {}), **more, **({} if data is None else {"data": str(data)})}
    with stopping.listening() as stop, caches.usable(hears.note):
        plan, dataset = sketch(spec, given, registry_file, hears, stop.check)
        with begun_early(plan, dataset) as ahead:
            draft = prove(plan, dataset)
            for note in draft.notes():
                hears.note(note)
            watchers = observers.select(observe, hears.note)
            if dataset.table.layout != "table":  # a table may lie anywhere
                runfolder.refuse_inside(Path(out or runfolder.RUNS), dataset.table.root)
            with (
                runfolder.new(Path(out) if out else None, plan.entry or spec) as folder,
                ending(folder, hears, stop, resumed=False),
            ):
                folder.write_plan(draft.plan, observe)
                write_data(folder, draft)
                return carry_out(folder, draft, hears, stop, watchers, began=began, ahead=ahead)


def resume(
    path: str | Path,
    *,
    data: str | Path | None = None,
    accept_drift: bool = False,
    listener: Listener | None = None,
) -> Run:
    """Go on with a run that was stopped, from its newest whole checkpoint.

    The plugins that observed it hear of it again, from `zoo_run_start` on.

    Args:
        path: the run folder.
        data: where the run's images lie now; None for where they were.
        accept_drift: go on although this machine cannot compute as the run began, with what it has.
        listener: hears how it goes, and what is not as it was when the run began.

    Raises:
        InputMissing: it is no run folder.
        Mismatch: the data, the plugins or the weights file changed since; or the run's device is
            not here, and that is not accepted.
        UsageError: the run is finished.
    """
    began = time.perf_counter()
    hears = listener or Lines()
    folder = runfolder.find(Path(path))
    with stopping.listening() as stop, locks.held(folder.place), caches.usable(hears.note):
        files.clean(folder.place)
        if folder.has(runfolder.SUMMARY):
            return _finished(folder)
        plan = folder.plan() if data is None else replace(folder.plan(), data=str(data))
        for told in catalog().notes:
            hears.note(told)
        check_plugins(plan, catalog())
        # Else it was ended before it had written which image is in which part.
        settled = any(map(folder.has, (runfolder.SPLIT, runfolder.METRICS, runfolder.CHECKPOINTS)))
        dataset = (
            same_data(folder, plan, hears, stop.check)
            if settled
            else survey_data(plan, hears, stop.check)
        )
        with (
            begun_early(plan, dataset) as ahead,
            hot.room("threads").as_begun(plan.device) as words,
        ):
            if words:
                hears.note(words)
            found = None
            if settled:
                found = hot.room("checkpoints").newest_checkpoint(
                    folder.place / runfolder.CHECKPOINTS, folder.seals(), hears.note
                )
            device = going_on.device(plan, accept=accept_drift)
            draft = prove(plan, dataset, phases=plan.phases if settled else (), begun=device)
            going_on.tell_drift(folder, plan, draft.plan.device, hears)
            if not settled:
                write_data(folder, draft)
            if found is None:
                hears.note("checkpoint: none was saved yet; training begins at its beginning.")
            else:
                phase = plan.phases[int(found.described["phase"])]
                epoch = min(found.position.epoch + 1, phase.epochs)
                told = f"{phase.name} phase, epoch {epoch} of {phase.epochs}"
                hears.note(f"checkpoint: going on from {found.folder.name}, {told}")
            watchers = observers.select(folder.observers(), hears.note)
            folder.remove(runfolder.EXIT)
            with ending(folder, hears, stop, resumed=True):
                return carry_out(
                    folder, draft, hears, stop, watchers, began=began, ahead=ahead, found=found
                )


def begun_early(plan: Plan, dataset: Dataset) -> AbstractContextManager[Begun | None]:
    """Pictures that are decoded while torch is imported; where it is, there is nothing to wait for.

    That the order of a run's steps is fixed there is worth more than what is left to be gained.
    """
    return nullcontext() if hot.is_open() else begun(plan, dataset)


def _finished(folder: RunFolder) -> Run:
    """A run that has all its figures, but was perhaps ended before it could say so.

    Raises:
        UsageError: it did say so.
    """
    if folder.has(runfolder.EXIT) and folder.read(runfolder.EXIT).get("status") == "finished":
        raise UsageError(
            f"The run {folder.path} is finished.", hint=f"Look at it: zoo show {folder.path}"
        )
    told = folder.read(runfolder.SUMMARY)
    report.write(folder, told)
    folder.finish("finished", 0)
    return Run(folder.path, told)


def carry_out(  # noqa: PLR0913 - all that a run is carried out with
    folder: RunFolder,
    draft: Draft,
    hears: Listener,
    stop: stopping.Stop,
    watchers: Sequence[observers.Watcher],
    *,
    began: float,
    ahead: Begun | None,
    found: Found | None = None,
) -> Run:
    """From a proved plan, and a checkpoint if there is one, to a finished run folder."""
    caches.prune()
    file = weights.file_of(draft.plan, hears, stop.check)
    weights.hold(folder, draft.plan, file, going_on=found is not None)
    model = placed_model(draft, file)
    stores = hot.room("features").stores(draft.plan, model)
    known = _known(draft, stores)
    images, dataset = ingested(draft.plan, draft.dataset, known, hears, stop, ahead)
    with closing(images):
        if len(dataset.splits) != len(draft.dataset.splits):
            if found:
                raise Mismatch(
                    "The run began with images that cannot be read now: "
                    f"{dataset.notes_of_skipped(since=draft.dataset)}.",
                    hint="Try again, restore them, or start a new run with zoo run.",
                )
            draft = prove(draft.plan, dataset)
            folder.write_plan(
                draft.plan, folder.observers(), repeats=folder.repeats(), loaded=folder.loaded()
            )
            write_data(folder, draft)
        session = _session(folder, draft, images, model, hears, stop)
        session.stores = stores
        session.began = began
        session.timed("setup", began)
        return _train(folder, session, watchers, found)


def placed_model(draft: Draft, file: Path | None) -> Model:
    """The plan's backbone, filled from a file of weights, and head, on their device."""
    plan, trio = draft.plan, makers(draft.plan)
    model = hot.room("assemble").build_model(
        trio[:2], file, hot.room("train").head_context(plan, draft.proof), int(plan["seed"])
    )
    placed: Model = model.to(draft.device.torch, memory_format=draft.device.memory_format)
    placed.folds = plan.frozen
    return placed


def _known(draft: Draft, stores: Mapping[str, FeatureStore]) -> Callable[[str, str], bool]:
    """Whether an image of a split need not be decoded, since its features are known."""
    if len(draft.plan.phases) > 1 or not stores:
        return lambda _split, _digest: False
    still = stores["still"].known(draft.dataset.digests)
    views = stores["views"].known(draft.dataset.digests) if "views" in stores else still
    return lambda split, digest: digest in (views if split == "train" else still)


def write_data(folder: RunFolder, draft: Draft) -> None:
    """The classes, and which image is in which part: a resumed run goes by them."""
    folder.write(runfolder.CLASSES, list(draft.dataset.classes))
    folder.write(runfolder.SPLIT, draft.dataset.to_json(seed=int(draft.plan["seed"])))


def _session(
    folder: RunFolder,
    draft: Draft,
    images: Images,
    model: Model,
    hears: Listener,
    stop: stopping.Stop,
) -> Session:
    """The built model with all that its training needs."""
    plan = draft.plan
    session: Session = hot.room("session").Session(
        plan=plan,
        model=model,
        makers=makers(plan),
        proof=draft.proof,
        dataset=draft.dataset,
        images=images,
        device=draft.device,
        listener=hears,
        pause=stop.check,
        checkpoints=folder.place / runfolder.CHECKPOINTS,
        seals=folder.seals(),
        wants_save=stop.wants_save,
    )
    if loaded := _loaded(session):
        hears.note(f"weights: {loaded}")
    if plan.teacher:
        session.extras["teacher_logits"] = _teacher_logits(plan, draft.dataset, hears)
    return session


def _loaded(session: Session) -> object:
    """What the backbone's plugin reports of its weights file; None with random weights."""
    return getattr(session.model.backbone, "load_report", None)


def _train(
    folder: RunFolder,
    session: Session,
    watchers: Sequence[observers.Watcher],
    found: Found | None,
) -> Run:
    """Train, measure, and write what the run leaves; observers hear of it."""
    if lost := folder.keep_records(int(found.described["records"]) if found else 0):
        session.listener.note(
            f"{runfolder.METRICS}: damaged; {lost} epochs before the checkpoint are missing."
        )
    observers.start(watchers, folder.place, runfolder.PLAN)

    def append(record: EpochRecord) -> None:
        folder.append(record)
        observers.epoch(watchers, folder.place, record)

    try:
        hot.room("train").train(session, append=append, resumed=found)
        scores = hot.room("train").final_scores(session)
        told = summary.build(session, session.proof, scores, _loaded(session))
        if repeats := folder.repeats():
            told["repeats"] = repeats
        if drift := folder.drift():
            told["resumed_with"] = drift
        summary.save_model(folder, session, session.proof)
        folder.write(runfolder.SUMMARY, told)
        report.write(folder, told)
    except BaseException as error:
        status = "stopped" if isinstance(error, Stopped) else "failed"
        observers.end(watchers, folder.place, status, None)
        raise
    observers.end(watchers, folder.place, "finished", told)
    return Run(folder.path, told)


def _teacher_logits(plan: Plan, dataset: Dataset, hears: Listener) -> Any:  # noqa: ANN401 - a tensor
    """The teacher's logits `[n_train, C]`, by its own preprocessing, in training order."""
    teacher = inference.load(plan.teacher, device=str(plan["device"]))
    if teacher.classes != dataset.classes:
        named = ", ".join(map(line, teacher.classes[:8]))
        raise Mismatch(
            f"The teacher {plan.teacher} knows other classes: {named}.",
            hint="A teacher is a finished run on the same classes.",
        )
    paths = [dataset.table.rows[row].path for row in dataset.rows("train")]
    return inference.file_logits(teacher, paths, hears, "teacher")
