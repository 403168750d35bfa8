"""Every file decoded once, by child processes, into packed arrays; all bad files named at once.

The pass that judges the files is the pass that fills the arrays. Arrays of many images live in
memory-mapped scratch files, which are unlinked as soon as they are mapped (where the system allows
it), so that not even a killed run leaves them behind.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zoo.data.decode import Undecodable
from zoo.data.pool import Order, Task, in_children
from zoo.data.preprocess import prepare
from zoo.data.rows import listed
from zoo.errors import BadData, StorageFault

if TYPE_CHECKING:
    from zoo.components import Preprocess

#: below this many images, starting children costs more than they save
FEW = 16

_Array = NDArray[np.uint8]
_Answers = Generator[tuple[Task, dict[str, Any]], None, None]
_Settled = tuple[NDArray[np.int64], tuple["Problem", ...]]


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
        pixels: uint8 `[rows, H, W, 3]`, what a backbone sees, before normalisation.
        pixels_row: int64 `[N]`: each path's row of `pixels`; -1 if not wanted or unreadable.
        canvases: uint8 `[rows, S, S, 3]`, what views are cropped from.
        canvas_row: int64 `[N]`: likewise.
        sizes: int64 `[N, 2]`: true (width, height), upright; 0 if unreadable.
        problems: the unreadable files, in the order of the paths.
    """

    pixels: NDArray[np.uint8]
    pixels_row: NDArray[np.int64]
    canvases: NDArray[np.uint8]
    canvas_row: NDArray[np.int64]
    sizes: NDArray[np.int64]
    problems: tuple[Problem, ...] = ()
    folder: Path | None = None

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

    def close(self) -> None:
        """Let go of the arrays and of what is left of the scratch files."""
        self.pixels, self.canvases = self.pixels[:0].copy(), self.canvases[:0].copy()
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
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Images:
    """Decode every file once.

    A file whose decoding fails, crashes its process or takes over a minute becomes a `Problem`;
    the others are not touched by it. The arrays do not depend on `jobs`.

    Args:
        paths: N files.
        preprocess: how pixels are made.
        want_pixels: whose pixels are wanted `[N]`.
        want_canvas: whose canvas is wanted `[N]`. A file of which neither is wanted is only judged.
        canvas_side: S, pixels.
        scratch: a folder for scratch files; made if need be.
        jobs: child processes; None for one per available core.
        progress: called with (done, total), in this thread.

    Raises:
        StorageFault: the scratch files cannot be made or filled.
    """
    tasks = _tasks(paths, want_pixels, want_canvas)
    shapes = (
        (sum(want_pixels), *preprocess.size, 3),
        (sum(want_canvas), canvas_side, canvas_side, 3),
    )
    jobs = max(1, min(jobs or cores(), len(tasks)))
    report = progress or (lambda _done, _total: None)
    folder = None
    if len(tasks) < FEW:
        pixels, canvases = (np.zeros(shape, np.uint8) for shape in shapes)
        answers = _in_threads(tasks, pixels, canvases, preprocess, jobs)
        sizes, problems = _settle(tasks, answers, report)
    else:
        folder = _scratch_folder(scratch)
        try:
            files = [_scratch_file(folder / f"{place}.u8", at) for place, at in enumerate(shapes)]
            answers = in_children(tasks, Order(preprocess, canvas_side, *files), jobs)
            sizes, problems = _settle(tasks, answers, report)
            pixels, canvases = (_mapped(file, at) for file, at in zip(files, shapes, strict=True))
        finally:
            # a mapping outlives its file's name; where it does not, close() removes the folder
            shutil.rmtree(folder, ignore_errors=True)
    bad = [problem.index for problem in problems]
    images = Images(
        pixels=pixels,
        pixels_row=np.array([task.pixels_row for task in tasks], np.int64),
        canvases=canvases,
        canvas_row=np.array([task.canvas_row for task in tasks], np.int64),
        sizes=sizes,
        problems=problems,
        folder=folder,
    )
    images.pixels_row[bad] = images.canvas_row[bad] = -1
    return images


def unreadable(problems: Sequence[Problem]) -> BadData:
    """The error that names the files which cannot be decoded."""
    named = listed([f"{problem.path}: {problem.reason}" for problem in problems])
    message = f"{len(problems)} of the images cannot be read:\n{named}"
    return BadData(message, hint="Mend or remove them, or go on without them: --bad-images skip")


def cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _tasks(
    paths: Sequence[Path], want_pixels: Sequence[bool], want_canvas: Sequence[bool]
) -> list[Task]:
    """Rows are given out in the order of the paths."""
    tasks: list[Task] = []
    rows = [0, 0]
    for index, (path, *wants) in enumerate(zip(paths, want_pixels, want_canvas, strict=True)):
        places = [row if want else -1 for row, want in zip(rows, wants, strict=True)]
        rows = [row + bool(want) for row, want in zip(rows, wants, strict=True)]
        tasks.append(Task(index, path, *places))
    return tasks


def _in_threads(
    tasks: Sequence[Task], pixels: _Array, canvases: _Array, preprocess: Preprocess, jobs: int
) -> _Answers:
    """What `in_children` does, in this process and straight into the arrays."""

    def answer(task: Task) -> tuple[Task, dict[str, Any]]:
        wanted = preprocess if task.pixels_row >= 0 else None
        side = canvases.shape[1] if task.canvas_row >= 0 else 0
        try:
            made = prepare(task.path, wanted, side)
        except Undecodable as error:
            return task, {"reason": error.reason}
        if made.pixels is not None:
            pixels[task.pixels_row] = made.pixels
        if made.canvas is not None:
            canvases[task.canvas_row] = made.canvas
        return task, {"size": made.size}

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(answer, tasks)


def _settle(
    tasks: Sequence[Task], answers: _Answers, report: Callable[[int, int], None]
) -> _Settled:
    """The pictures' sizes `[N, 2]` (0 where unreadable) and the problems, in the tasks' order."""
    sizes = np.zeros((len(tasks), 2), np.int64)
    problems: list[Problem] = []
    with closing(answers):  # whatever happens here ends the children
        for done, (task, answer) in enumerate(answers, 1):
            if "fault" in answer:
                raise StorageFault(
                    f"Cannot write the scratch files: {answer['fault']}.", hint=_SPACE
                )
            if "reason" in answer:
                problems.append(Problem(task.index, task.path, answer["reason"]))
            else:
                sizes[task.index] = answer["size"]
            report(done, len(tasks))
    return sizes, tuple(sorted(problems, key=lambda problem: problem.index))


_SPACE = "Free space, or let ZOO_CACHE name a folder on another disk."


def _scratch_folder(scratch: Path) -> Path:
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="ingest-", dir=scratch))
    except OSError as error:
        message = f"Cannot make scratch files in {scratch}: {error.strerror or error}."
        raise StorageFault(message, hint=_SPACE) from error


def _scratch_file(path: Path, shape: Iterable[int]) -> Path:
    """A file of so many bytes, all of them reserved: a full disk shows now and not half way."""
    size = int(np.prod(list(shape), dtype=np.int64))
    try:
        with path.open("wb") as stream:
            if size and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(stream.fileno(), 0, size)
            else:
                stream.truncate(size)
    except OSError as error:
        message = f"{path.parent} has no room for {size / 1e9:.1f} GB: {error.strerror or error}."
        raise StorageFault(message, hint=_SPACE) from error
    return path


def _mapped(path: Path, shape: tuple[int, ...]) -> _Array:
    """A scratch file as an array; writing to the array would not reach the file."""
    if not shape[0]:
        return np.zeros(shape, np.uint8)
    return np.memmap(path, np.uint8, mode="c", shape=shape)
