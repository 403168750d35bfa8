"""Every file decoded once, by child processes, into packed arrays; all bad files named at once.

The pass that judges the files is the pass that fills the arrays. A data set's arrays are kept for
later runs (see `zoo.data.packs`); those of other pictures live in scratch files, which lose their
names as soon as they are mapped (where the system allows it), so that a process that is killed then
leaves none behind. The ring of a stream keeps its name for as long as children write into it: a
killed run leaves that, up to 256 MB, and the next one takes it away (see `zoo.caches.prune`).
"""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from zoo import caches
from zoo.data import canvas
from zoo.data.packs import Made, Pack
from zoo.data.pool import Order, Task, in_children
from zoo.data.rows import listed
from zoo.data.scratch import SPACE, Scratch, own_folder
from zoo.data.shelves import packs
from zoo.data.stream import Source, Stream
from zoo.errors import BadData, StorageFault
from zoo.machine import cores

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from zoo.components import Preprocess

#: a child is worth starting for this many files: it costs as much as decoding them
FEW = 16
#: how many unreadable files a message names: whoever removes them needs the whole list
_NAMED = 1000
#: decoded pictures are made durable this often, seconds: what a kill costs at most
KEEP_SECONDS = 10.0
#: pictures that views are cropped from are kept this much larger than the input
CANVAS_RATIO = 1.5

_Shelves = tuple[Pack | Scratch, Pack | Scratch]
#: the row of what there is no room to keep, until all rows are mapped
_NO_ROOM = -2

_Answers = Generator[tuple[Task, dict[str, Any]] | None, None, None]


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that could not be decoded: its place among the paths, the path, and why."""

    index: int
    path: Path
    reason: str


@dataclass(slots=True)
class Images:
    """What the files became, N paths in all.

    Args:
        pixels: uint8 `[rows, H, W, 3]`, what a backbone sees, before normalisation; a stream where
            there is no room to keep all.
        pixels_row: int64 `[N]`: each path's row of `pixels`; -1 if not wanted or unreadable.
        canvases: uint8 `[rows, bytes]`, what views are cropped from, each from its row's first byte
            on; likewise.
        canvas_row: int64 `[N]`: likewise.
        sizes: int64 `[N, 2]`: true (width, height), upright; 0 if unreadable.
        problems: the unreadable files, in the order of the paths.
        animated: how many files of those decoded now, not kept from an earlier time, hold more
            frames or pages than the first, which counts.
        decoded: how many files were decoded for it, and not known before.
        streamed: of how many files something is not kept.
        folder: with scratch files.
        canvas_side: S of the canvases.
    """

    pixels: NDArray[np.uint8]
    pixels_row: NDArray[np.int64]
    canvases: NDArray[np.uint8]
    canvas_row: NDArray[np.int64]
    sizes: NDArray[np.int64]
    problems: tuple[Problem, ...] = ()
    animated: int = 0
    decoded: int = 0
    streamed: int = 0
    folder: Path | None = None
    canvas_side: int = 0

    @property
    def canvas_shapes(self) -> NDArray[np.int64]:
        """int64 `[N, 2]`: (height, width) of each path's canvas."""
        return canvas.shapes(map(tuple, self.sizes.tolist()), self.canvas_side)

    @property
    def aspects(self) -> NDArray[np.float64]:
        """float64 `[N]`: true width / height; 1 if unreadable."""
        width, height = np.maximum(self.sizes, 1).T
        return width / height

    def without(self, indices: Iterable[int]) -> Images:
        """The same arrays less these paths."""
        kept = np.setdiff1d(np.arange(len(self.sizes)), list(indices))
        return replace(
            self,
            pixels_row=self.pixels_row[kept],
            canvas_row=self.canvas_row[kept],
            sizes=self.sizes[kept],
            problems=(),
        )

    def spread(self, places: NDArray[np.int64], count: int) -> Images:
        """The same pictures as some among more paths, of whose others there is nothing.

        Args:
            places: this one's paths among the others `[N]`.
            count: how many paths there are in all.
        """
        rows = np.full((2, count), -1, np.int64)
        rows[:, places] = self.pixels_row, self.canvas_row
        sizes = np.zeros((count, 2), np.int64)
        sizes[places] = self.sizes
        problems = tuple(replace(one, index=int(places[one.index])) for one in self.problems)
        return replace(self, pixels_row=rows[0], canvas_row=rows[1], sizes=sizes, problems=problems)

    def close(self) -> None:
        """Let go of the arrays, of children that decode and of what is left of scratch files."""
        for rows in (self.pixels, self.canvases):
            if isinstance(rows, Stream):
                rows.close()
        self.pixels, self.canvases = (
            np.zeros((0, *rows.shape[1:]), np.uint8) for rows in (self.pixels, self.canvases)
        )
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)


def ingest(  # noqa: PLR0913 - what to read, what to make of it, where and how
    paths: Sequence[Path],
    *,
    preprocess: Preprocess,
    want_pixels: Sequence[bool],
    want_canvas: Sequence[bool],
    canvas_side: int,
    scratch: Path,
    digests: Sequence[str] = (),
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Images:
    """Decode every file once.

    A file whose decoding fails, crashes its process, or takes over a minute or too much memory
    becomes a `Problem`; the others are not touched by it. The arrays' contents do not depend on
    `jobs`.

    Args:
        paths: N files.
        preprocess: how pixels are made.
        want_pixels: whose pixels are wanted `[N]`.
        want_canvas: whose canvas is wanted `[N]`. A file of which neither is wanted is only judged.
        canvas_side: S, pixels: see `zoo.data.canvas`.
        scratch: a folder for scratch files; made if need be.
        digests: SHA-256 of the files, hex `[N]`, "" where one could not be read. With them, what is
            decoded is kept in the user's cache folder, as far as there is room, and what is kept is
            not decoded; a file that has changed since is a problem.
        jobs: child processes; None for one per available core.
        progress: called with (done, total), in this thread, every second at least; may raise to
            stop.

    Raises:
        StorageFault: there is no room for the arrays.
    """
    wants = (want_pixels, want_canvas)
    kept = _packs(preprocess, canvas_side, wants)
    with kept if digests else _scratch(scratch, preprocess, canvas_side) as shelves:
        shas = digests or [None] * len(paths)
        report = progress or (lambda _done, _total: None)
        tasks, images, known = _shelve(paths, shas, wants, shelves, partial(report, 0, len(paths)))
        order = Order(preprocess, canvas_side, shelves[0].file, shelves[1].file)
        answers = in_children(tasks, order, children(len(tasks), jobs))
        if known:
            report(known, len(paths))
        _settle(answers, images, shelves, lambda done: report(known + done, len(paths)))
        sources = [Source(*one) for one in zip(paths, shas, strict=True)]
        make = partial(Stream, order=order, scratch=scratch, jobs=jobs or cores())
        images.pixels = _read(shelves[0], images.pixels_row, sources, partial(make, canvas=False))
        images.canvases = _read(shelves[1], images.canvas_row, sources, partial(make, canvas=True))
    images.folder = None if digests else shelves[0].file.parent
    images.canvas_side = canvas_side
    return images


def _read(
    shelf: Pack | Scratch,
    rows: NDArray[np.int64],
    sources: Sequence[Source],
    make: Callable[[NDArray[np.uint8], list[Source]], Stream],
) -> NDArray[np.uint8]:
    """The rows that are kept, and behind them, where there was no room, those that are not.

    Args:
        shelf: with what is kept.
        rows: int64 `[N]`: each path's; those without room get their numbers.
        sources: of the N paths.
        make: of kept rows and the sources of the others, a stream.
    """
    kept = shelf.rows()
    left = np.flatnonzero(rows == _NO_ROOM)
    if not len(left):
        return kept
    rows[left] = len(kept) + np.arange(len(left))
    stream = make(kept, [sources[place] for place in left.tolist()])
    return cast("NDArray[np.uint8]", stream)  # for whoever reads rows, it is an array


def unreadable(problems: Sequence[Problem]) -> BadData:
    """The error that names the files which cannot be decoded."""
    named = listed([f"{problem.path}: {problem.reason}" for problem in problems], most=_NAMED)
    message = f"{len(problems)} of the images cannot be read:\n{named}"
    return BadData(message, hint="Mend or remove them, or go on without them: --bad-images skip")


def children(files: int, jobs: int | None) -> int:
    """How many child processes decode so many files; `jobs` of them at most, None for any."""
    return max(1, min(jobs or cores(), math.ceil(files / FEW)))


@contextmanager
def _packs(
    preprocess: Preprocess, canvas_side: int, wants: tuple[Sequence[bool], Sequence[bool]]
) -> Iterator[_Shelves]:
    """Where a data set's arrays are kept, of which nobody removes those that are wanted."""
    kept = packs(preprocess, canvas_side)
    with ExitStack() as stack:
        for pack, wanted in zip(kept, wants, strict=True):
            if any(wanted):
                stack.enter_context(pack.in_use())
        yield kept


@contextmanager
def _scratch(scratch: Path, preprocess: Preprocess, canvas_side: int) -> Iterator[_Shelves]:
    """Scratch files in a folder of their own."""
    with own_folder(scratch) as folder:
        yield (
            Scratch(folder, "pixels", (*preprocess.size, 3)),
            Scratch(folder, "canvases", (canvas.row_bytes(canvas_side),)),
        )


def _shelve(
    paths: Sequence[Path],
    digests: Sequence[str | None],
    wants: tuple[Sequence[bool], Sequence[bool]],
    shelves: _Shelves,
    alive: Callable[[], None],
) -> tuple[list[Task], Images, int]:
    """Give every wanted array its row; what is not there yet becomes a task.

    That for which there is no room gets `_NO_ROOM` for its row, and is judged only.

    Returns:
        The tasks, the images with all rows that need no task filled in, and how many these are.
    """
    count = len(paths)
    known = [
        shelf.find((sha for sha, want in zip(digests, wanted, strict=True) if sha and want), alive)
        for shelf, wanted in zip(shelves, wants, strict=True)
    ]
    rows = np.full((2, count), -1, np.int64)
    sizes = np.zeros((count, 2), np.int64)
    lacking = np.zeros((2, count), bool)
    for which, (found, wanted) in enumerate(zip(known, wants, strict=True)):
        for index, (digest, want) in enumerate(zip(digests, wanted, strict=True)):
            if want and digest and digest in found:
                rows[which, index] = found[digest].row
                sizes[index] = found[digest].size
            lacking[which, index] = want and digest not in found
        # Rows are given out in the order of the paths.
        first, rest = np.split(np.flatnonzero(lacking[which]), [_room(shelves, which, lacking)])
        rows[which, first] = shelves[which].reserve(len(first))
        rows[which, rest] = _NO_ROOM
        lacking[which, rest] = False
    # Whoever has a size was judged when what is kept of it was made.
    todo = np.flatnonzero(lacking.any(axis=0) | (sizes == 0).all(axis=1))
    tasks = [
        Task(
            index,
            paths[index],
            int(rows[0, index]) if lacking[0, index] else -1,
            int(rows[1, index]) if lacking[1, index] else -1,
            digests[index],
        )
        for index in todo.tolist()
    ]
    nothing = np.zeros((0, 0, 0, 3), np.uint8)
    streamed = int((rows == _NO_ROOM).any(axis=0).sum())
    images = Images(
        nothing, rows[0], nothing, rows[1], sizes, decoded=len(tasks), streamed=streamed
    )
    return tasks, images, count - len(tasks)


def _room(shelves: _Shelves, which: int, lacking: NDArray[np.bool_]) -> int:
    """How many rows of this kind may be added, if any lack; scratch is as large as it must be.

    Raises:
        StorageFault: nothing can be kept at all, nor decoded into.
    """
    shelf = shelves[which]
    if not isinstance(shelf, Pack) or not lacking[which].any():
        return sys.maxsize
    try:
        shelf.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"Cannot keep pictures in {shelf.folder}: {error.strerror}."
        raise StorageFault(message, hint=SPACE) from error
    folders = [pack.folder for pack in shelves if isinstance(pack, Pack)]
    return caches.room(folders) // shelf.row_bytes


def _note(
    task: Task,
    answer: Mapping[str, Any],
    images: Images,
    problems: list[Problem],
    made: tuple[list[Made], list[Made]],
) -> None:
    """What became of one file.

    Raises:
        StorageFault: what was made of it cannot be written.
    """
    if "fault" in answer:
        raise StorageFault(f"Cannot write decoded pictures: {answer['fault']}.", hint=SPACE)
    if "reason" in answer:
        problems.append(Problem(task.index, task.path, answer["reason"]))
        return
    width, height = answer["size"]
    images.sizes[task.index] = width, height
    images.animated += answer["animated"]
    rows = (task.pixels_row, task.canvas_row)
    for new, row, crc in zip(made, rows, answer["crc"], strict=True):
        if row >= 0 and task.digest:
            new.append(Made(task.digest, row, (width, height), crc))


def _settle(
    answers: _Answers,
    images: Images,
    shelves: _Shelves,
    report: Callable[[int], None],
) -> None:
    """Fill in the pictures' sizes and the problems, and keep what is made now and then."""
    problems: list[Problem] = []
    made: tuple[list[Made], list[Made]] = ([], [])
    kept = time.monotonic()

    def keep() -> None:
        for shelf, new in zip(shelves, made, strict=True):
            shelf.keep(new)
            new.clear()

    try:
        with closing(answers):  # whatever happens here ends the children
            done = 0
            for answered in answers:
                if answered:
                    done += 1
                    _note(*answered, images, problems, made)
                if time.monotonic() - kept >= KEEP_SECONDS:
                    keep()
                    kept = time.monotonic()
                report(done)
    finally:
        keep()
    images.problems = tuple(sorted(problems, key=lambda problem: problem.index))
    bad = [problem.index for problem in problems]
    images.pixels_row[bad] = images.canvas_row[bad] = -1
