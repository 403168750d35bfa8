"""The run folder: fixed names, written whole or not at all, read back with care."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import inside, locks, provenance
from zoo.errors import BadData, CannotCreate, InputMissing
from zoo.files import UNFINISHED, append_line, clean, sync_folder, write_json, write_text
from zoo.plan import Plan, plan_from_json, plan_to_json
from zoo.provenance import (  # noqa: F401 - names of the run folder too
    MODEL,
    MODEL_CARD,
    NOT_YET,
    Loaded,
    card_hash,
)
from zoo.spec import slug

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from zoo.history import EpochRecord

#: where numbered run folders go
RUNS = "runs"
PLAN = "plan.json"
CLASSES = "classes.json"
SPLIT = "split.json"
METRICS = "metrics.jsonl"
SUMMARY = "summary.json"
EXIT = "exit.json"
REPORT = "report.html"
DIAGNOSIS = "diagnosis.json"
CHECKPOINTS = "checkpoints"
MODEL_WEIGHTS = "model.safetensors"
_MAX_NUMBER = 100_000
#: more than a million images take in split.json, and more than an epoch takes in metrics.jsonl
_MAX_BYTES, _MAX_LINE = 1_000_000_000, 1_000_000
#: what split.json says of each image
_OF_IMAGES = {"files": ("name", "class", "split", "sha256"), "skipped": ("name", "reason")}
#: what plan.json says of where a run happens: where its images lie, what it runs on
_MAY_CHANGE = {
    *("data", "device", "zoo", "python", "packages", "plugins", "observe", "repeats", "loaded"),
    "resumed_with",
}


@dataclass(frozen=True, slots=True)
class RunFolder:
    """All that a run leaves.

    Args:
        path: of the folder, as it is told.

    Attributes:
        place: the same, whatever folder a plugin's code makes the working directory.
    """

    path: Path
    place: Path = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find the folder once."""
        object.__setattr__(self, "place", self.path.absolute())  # it is frozen

    def write_plan(
        self,
        plan: Plan,
        observe: Sequence[str] = (),
        *,
        repeats: Mapping[str, object] | None = None,
        loaded: Loaded = NOT_YET,
    ) -> None:
        """Everything that decides the run, what it was made with, and who observes it.

        Args:
            plan: settled.
            observe: names of observers.
            repeats: the run that this one does again, and what differs from it.
            loaded: the file of weights that it loaded, once that is known.
        """
        record = {
            **plan_to_json(plan),
            **provenance.of(plan, observe).to_json(),
            "observe": list(observe),
            **({"repeats": dict(repeats)} if repeats else {}),
            **({"loaded": loaded.to_json()} if loaded.sha256 else {}),
        }
        write_json(self.place / PLAN, record)

    def plan(self) -> Plan:
        """The plan back.

        Raises:
            InputMissing: there is none.
            Mismatch: it is of another schema.
        """
        return plan_from_json(self.read(PLAN))

    def observers(self) -> tuple[str, ...]:
        """The plugins that were asked to observe the run."""
        return tuple(str(name) for name in self.read(PLAN).get("observe", ()))

    def repeats(self) -> dict[str, Any]:
        """The run that this one does again, and what differed then; empty for an original."""
        return dict(self.read(PLAN).get("repeats", {}))

    def loaded(self) -> Loaded:
        """The file of weights that the run loaded; empty where none is on record.

        Raises:
            Mismatch: what is on record is none.
        """
        return provenance.loaded_from_json(self.read(PLAN))

    def note_loaded(self, loaded: Loaded) -> None:
        """Put that file on record."""
        self.write(PLAN, {**self.read(PLAN), "loaded": loaded.to_json()})

    def drift(self) -> list[str]:
        """What was not as it had been when the run began, each time that it went on."""
        told = self.read(PLAN).get("resumed_with")
        return [str(one) for one in told] if isinstance(told, list) else []

    def keep_drift(self, told: Sequence[str]) -> None:
        """Note in plan.json what is not as it was when the run began."""
        known = self.drift()
        if new := [one for one in told if one not in known]:
            self.write(PLAN, {**self.read(PLAN), "resumed_with": [*known, *new]})

    def append(self, record: EpochRecord) -> None:
        """Add an epoch's line to metrics.jsonl, and have it on the disk."""
        append_line(self.place / METRICS, json.dumps(record.to_json(), allow_nan=False))

    def records(self) -> Iterator[dict[str, Any]]:
        """The lines of metrics.jsonl, up to the first that was cut off or is none of ours."""
        file = self.place / METRICS
        if not file.exists():
            return
        with file.open("rb") as stream:
            while line := stream.readline(_MAX_LINE):
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError):
                    return

    def keep_records(self, count: int) -> int:
        """Cut metrics.jsonl down to its first `count` lines: what came later will come again.

        Returns:
            How many of them are lost, the file having been damaged.
        """
        lines = [json.dumps(record) for record in islice(self.records(), count)]
        write_text(self.place / METRICS, "".join(f"{line}\n" for line in lines))
        return count - len(lines)

    def has(self, name: str) -> bool:
        """Whether one of the folder's files is there."""
        return (self.place / name).exists()

    def remove(self, name: str) -> None:
        """Take one of the folder's files away, if it is there."""
        (self.place / name).unlink(missing_ok=True)
        sync_folder(self.place)

    def write(self, name: str, value: object) -> None:
        """Write one of the folder's JSON files."""
        write_json(self.place / name, value)

    def read(self, name: str) -> dict[str, Any]:
        """Read one of the folder's JSON files.

        Raises:
            InputMissing: it is not there.
            BadData: it is no JSON object, or far too large for one.
        """
        with self._readable(name) as file:
            return inside.read_object(file, limit=_MAX_BYTES)

    def split(self) -> dict[str, Any]:
        """What split.json says: `files` in a part each, and those that were `skipped`.

        Raises:
            InputMissing: it is not there.
            BadData: it is none of ours, or far too large for one.
        """
        record: dict[str, Any] = {"skipped": [], **self.read(SPLIT)}
        try:
            said = [
                one[key]
                for part, keys in _OF_IMAGES.items()
                for one in record[part]
                for key in keys
            ]
        except (KeyError, TypeError):
            said = [None]
        if not all(isinstance(one, str) for one in said):
            message = f"{self.place / SPLIT} is damaged: it does not give each image its part."
            raise BadData(message, hint=inside.RESTORE)
        return record

    @contextlib.contextmanager
    def _readable(self, name: str) -> Iterator[Path]:
        try:
            yield self.place / name
        except OSError as error:
            raise InputMissing(
                f"{self.place / name} cannot be read: {error.strerror}.",
                hint="Name the folder of a run, such as runs/demo-1, that is all there.",
            ) from error

    def _hash(self, name: str) -> str:
        with self._readable(name) as file, file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def seals(self) -> dict[str, Any]:
        """What a checkpoint holds on to, so that it goes on in no other run than its own.

        Returns:
            `plan`: the plan as JSON, less what depends on where it runs; `classes` and `split`:
            SHA-256 of these files, hex; `teacher`: likewise of its model.json, which vouches for
            its weights ("" where there is none).

        Raises:
            InputMissing: one of them is not there.
        """
        plan = self.read(PLAN)
        settings = {name: one for name, one in plan["settings"].items() if name != "data"}
        lasting = {key: value for key, value in plan.items() if key not in _MAY_CHANGE}
        return {
            "plan": {**lasting, "settings": settings},
            "teacher": card_hash(plan.get("teacher")),
            **{name.removesuffix(".json"): self._hash(name) for name in (CLASSES, SPLIT)},
        }

    def finish(self, status: str, code: int, reason: str = "") -> None:
        """Write exit.json: how it ended, with which exit code, and why."""
        ended = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.write(EXIT, {"status": status, "code": code, "reason": reason, "ended": ended})


@contextlib.contextmanager
def new(out: Path | None, name: str) -> Iterator[RunFolder]:
    """A new, empty run folder, locked for as long as the block lasts.

    Args and errors are those of `create`; it is also a `CannotCreate` when another run of the same
    moment took the folder first.
    """
    folder = create(out, name)
    with locks.held(folder.place):
        _refuse_taken(folder.path, "")
        clean(folder.place)
        yield folder


def create(out: Path | None, name: str) -> RunFolder:
    """Make a new, empty run folder.

    Args:
        out: where; must not exist, or be empty. None for `runs/NAME-N`, N being the first free.
        name: the entry's name or the spec.

    Raises:
        CannotCreate: it is there and not empty, or cannot be made.
    """
    if out is None:
        return _numbered(Path(RUNS), slug(name))
    try:
        out.mkdir(parents=True, exist_ok=True)
        _refuse_taken(out, locks.holder(out))
    except OSError as error:
        message = f"The output folder {out} cannot be made: {error.strerror}."
        raise CannotCreate(message, hint="Choose another --out.") from error
    return RunFolder(out)


def _refuse_taken(folder: Path, who: str) -> None:
    """Refuse a folder that holds more than a run leaves that was killed before its first file.

    Args:
        folder: the run folder.
        who: is at work in it, for the message; empty for nobody.
    """
    names = {item.name for item in folder.iterdir()} - {locks.LOCK}
    if all(name.startswith(UNFINISHED) for name in names):
        return
    message = f"The output folder {folder} is not empty."
    hint = "Choose another --out, or zoo resume it if it is a run."
    if who:
        message = f"The output folder {folder} belongs to {who}, which is at work in it."
        hint = "Wait for it, or choose another --out."
    raise CannotCreate(message, hint=hint)


def refuse_inside(out: Path, data: Path) -> None:
    """Never write into the user's images.

    Raises:
        CannotCreate: `out` is the data folder, or lies inside it.
    """
    if out.resolve().is_relative_to(data.resolve()):
        message = f"The run folder would lie inside the data folder {data}."
        raise CannotCreate(message, hint="Choose a folder outside of it with --out.")


def _numbered(parent: Path, name: str) -> RunFolder:
    """`mkdir` either makes the folder or fails, so two runs never get the same number."""
    try:
        parent.mkdir(exist_ok=True)
        for number in range(1, _MAX_NUMBER):
            folder = parent / f"{name}-{number}"
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            sync_folder(parent)
            return RunFolder(folder)
    except OSError as error:
        message = f"No run folder can be made in {parent}: {error.strerror}."
        raise CannotCreate(message, hint="Choose a folder with --out.") from error
    raise CannotCreate(f"{parent} is full of runs called {name}.", hint="Choose one with --out.")


def discard_if_unused(folder: RunFolder, *, made: Sequence[str] = (PLAN, SPLIT, CLASSES)) -> None:
    """Take a run folder away again that holds nothing but what was written before training."""
    found = {item.name for item in folder.place.iterdir()}
    if found <= {*made, locks.LOCK}:
        for name in found:
            (folder.place / name).unlink()
        folder.place.rmdir()
        if folder.path.parent == Path(RUNS):
            with contextlib.suppress(OSError):  # other runs are in it
                folder.place.parent.rmdir()


def find(path: Path) -> RunFolder:
    """The run folder at a path.

    Raises:
        InputMissing: there is no run.
        Refused: something in it is a link.
    """
    inside.refuse_links(path)
    if not (path / PLAN).is_file():
        message = f"{path} is no run folder: it holds no {PLAN}."
        raise InputMissing(message, hint="Name the folder of a run, such as runs/demo-1.")
    return RunFolder(path)
