"""Pictures of which some are kept and the others decoded anew whenever they are asked for.

It is read like an array of rows. Behind it children decode into a ring of slots, ahead of the
reader for as long as it asks for what it said it would; what it asks for else is decoded at once.
A picture has the same bytes whichever way it comes: the same child made the rows that are kept.
What lies behind a picture that does not fill its row is of no meaning.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from zoo.data.pool import Crew, Order, Task
from zoo.data.scratch import SPACE, Scratch, own_folder
from zoo.errors import BadData, StorageFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

#: what the slots take on the disk at most, bytes
RING = 256 << 20
#: a reader lets signals in this often while it waits, seconds
_LOOK = 0.5


@dataclass(frozen=True, slots=True)
class Source:
    """The file of a row that is not kept, and the SHA-256 that it had when it was judged."""

    path: Path
    digest: str | None


def expect(pictures: NDArray[np.uint8] | Stream, rows: NDArray[np.int64]) -> None:
    """Tell where it matters which rows will be read next, in their order."""
    if isinstance(pictures, Stream):
        pictures.expect(rows)


class Stream:
    """Rows `[m + n, *shape]`: m that are kept, and n that are decoded when they are needed.

    Several threads may read it. What nobody reads takes no process and no room.

    Args:
        kept: uint8 `[m, *shape]`.
        sources: of the n others.
        canvas: whether rows are canvases, and not pixels.
        order: how they are made; where to is for the stream to say.
        scratch: a folder for the file with the slots; made if need be.
        jobs: how many children decode.

    Attributes:
        decoded: how many rows were decoded for readers so far.
    """

    def __init__(
        self,
        kept: NDArray[np.uint8],
        sources: Sequence[Source],
        *,
        canvas: bool,
        order: Order,
        scratch: Path,
        jobs: int,
    ) -> None:
        """Start nothing yet."""
        self.shape = (len(kept) + len(sources), *kept.shape[1:])
        self.decoded = 0
        self._kept, self._sources, self._canvas = kept, sources, canvas
        self._order, self._scratch, self._jobs = order, scratch, jobs
        self._changed = threading.Condition()
        self._started = ExitStack()
        self._crew: Crew | None = None
        self._slots = kept[:0]
        self._free = list(range(max(1, min(len(sources), RING // int(np.prod(kept.shape[1:]))))))
        self._expected: OrderedDict[int, None] = OrderedDict()
        self._given: dict[int, int] = {}  # rows that are being decoded → their slots
        self._ready: dict[int, int] = {}
        self._failed: dict[int, str] = {}
        self._fault: BaseException | None = None
        self._closed = False

    def __len__(self) -> int:
        """How many rows there are."""
        return self.shape[0]

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Some rows, copied: uint8 `[b, *shape]`."""
        return self.take(rows)

    def expect(self, rows: NDArray[np.int64]) -> None:
        """Told which rows come next, in their order; what was expected before is forgotten."""
        wanted = [row for row in rows.tolist() if row >= len(self._kept)]
        with self._changed:
            self._expected = OrderedDict.fromkeys(wanted)
            self._forget(self._ready.keys() - self._expected.keys())
            self._go_ahead()

    def take(
        self,
        rows: NDArray[np.int64],
        axis: int = 0,
        out: NDArray[np.uint8] | None = None,
        mode: str = "raise",
    ) -> NDArray[np.uint8]:
        """As numpy's, of whole rows: uint8 `[b, *shape]`.

        Raises:
            BadData: a file cannot be read any more, or is not the one that was judged.
        """
        del axis, mode
        rows = np.asarray(rows)
        taken = np.empty((len(rows), *self.shape[1:]), np.uint8) if out is None else out
        there = rows < len(self._kept)
        taken[there] = self._kept[rows[there]]
        places: dict[int, list[int]] = {}
        for place in np.flatnonzero(~there).tolist():
            places.setdefault(int(rows[place]), []).append(place)
        with self._changed:
            while True:
                for row in self._ready.keys() & places.keys():
                    taken[places.pop(row)] = self._slots[self._ready[row]]
                    self._forget([row])
                    self.decoded += 1
                if not places:
                    break
                self._complain(places)
                for row in places:
                    self._want(row)
                self._go_ahead()
                self._changed.wait(_LOOK)
            self._go_ahead()
        return taken

    def close(self) -> None:
        """End the children, and let go of the slots."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._started.close()
        self._slots = self._slots[:0].copy()

    def _want(self, row: int) -> None:
        """Have a row decoded that somebody waits for, if it is not already."""
        self._expected.pop(row, None)
        if row in self._given or row in self._ready:
            return
        if not self._free and not self._given:
            # All slots hold what was expected, and nobody has come for it: that was a mistake.
            self._forget(list(self._ready))
        if self._free:
            self._give(row)

    def _go_ahead(self) -> None:
        """Have as many of the expected rows decoded as there are slots."""
        while self._free and self._expected:
            row, _ = self._expected.popitem(last=False)
            if row not in self._given and row not in self._ready:
                self._give(row)

    def _forget(self, rows: Iterable[int]) -> None:
        """Free the slots of rows that are ready."""
        self._free.extend(self._ready.pop(row) for row in rows)

    def _give(self, row: int) -> None:
        """Have a child decode a row into a free slot."""
        crew = self._crew or self._start()
        slot = self._given[row] = self._free.pop()
        source = self._sources[row - len(self._kept)]
        at = (-1, slot) if self._canvas else (slot, -1)
        crew.give(Task(row, source.path, *at, digest=source.digest))

    def _start(self) -> Crew:
        """Make room for the slots, and hire children."""
        with ExitStack() as stack:
            ring = Scratch(stack.enter_context(own_folder(self._scratch)), "ring", self.shape[1:])
            ring.reserve(len(self._free))
            self._slots = ring.shared()
            order = replace(self._order, pixels=ring.file, canvases=ring.file)
            crew = Crew(order, self._jobs)
            thread = threading.Thread(target=self._listen, args=(crew,), daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(crew.close)
            self._started = stack.pop_all()
        self._crew = crew
        return crew

    def _listen(self, crew: Crew) -> None:
        """A thread's work: note what is done."""
        while not self._closed:
            try:
                answered = crew.next()
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
                with self._changed:
                    self._fault = error
                    self._changed.notify_all()
                return
            if answered:
                with self._changed:
                    self._note(*answered)
                    self._changed.notify_all()

    def _note(self, task: Task, answer: dict[str, Any]) -> None:
        slot = self._given.pop(task.index)
        if "crc" in answer:
            self._ready[task.index] = slot
            return
        self._free.append(slot)
        if "fault" in answer:
            self._fault = StorageFault(
                f"Cannot write decoded pictures: {answer['fault']}.", hint=SPACE
            )
        else:
            self._failed[task.index] = answer["reason"]

    def _complain(self, wanted: dict[int, list[int]]) -> None:
        """Raise what keeps the wanted rows from coming."""
        if self._fault:
            raise self._fault
        if self._closed:
            raise AssertionError("read after it was closed")
        for row in self._failed.keys() & wanted:
            path = self._sources[row - len(self._kept)].path
            raise BadData(
                f"{path} could be read before, and now it cannot: {self._failed[row]}.",
                hint="Put it back as it was, and go on with zoo resume.",
            )
