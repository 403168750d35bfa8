"""Decoding children, seen from the parent: a few files in flight per child.

A child is a fresh interpreter that runs `zoo.data.worker`, not a `multiprocessing` one: it never
re-runs the user's script (an unguarded script or a notebook may call zoo), and it is safe after
CUDA has started. It answers in the order in which it is asked, so whatever kills it or keeps it is
the first file without an answer, is known by name and costs that file alone; those that wait behind
it, so that the child need not wait for the parent, go to the next child.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.components import Preprocess, to_json
from zoo.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

#: a file that takes longer to decode is given up, seconds
PATIENCE = 60.0
#: how many files a child is given at once: it has work for some milliseconds while the parent, in
#: which one thread runs at a time, is busy with something else
IN_FLIGHT = 4
#: a driver that does not end is told to stop again this often, seconds
_BETWEEN_STOPS = 0.1
#: how many of its 16 MB blocks Pillow keeps for the next picture: fresh memory, which the system
#: clears page by page, takes longer than decoding a small picture into it
_PILLOW_BLOCKS = 6
#: likewise glibc: blocks of up to so many bytes, the most that it knows, come from its heap, of
#: which so many stay
_FROM_HEAP, _KEPT = 32 << 20, 128 << 20
_HINT = "Mend what it says; where it says nothing, look at the limits of memory and of processes."
#: a child decodes strangers' bytes, so of the environment, where secrets are, it sees this alone
_SEEN = frozenset(("HOME", "LANG", "PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "WINDIR"))
_SEEN_PREFIXES = ("COVERAGE_", "DYLD_", "LC_", "LD_", "PYTHON")


@dataclass(frozen=True, slots=True)
class Order:
    """What all of a pool's files are to become.

    Args:
        preprocess: for pixels.
        canvas_side: S of canvases.
        pixels: file of uint8 `[rows, H, W, 3]`.
        canvases: file of uint8 `[rows, bytes]`, as many as `zoo.data.canvas` says.
    """

    preprocess: Preprocess
    canvas_side: int
    pixels: Path
    canvases: Path

    def to_json(self) -> dict[str, Any]:
        """As `zoo.data.worker` takes it."""
        return {
            "preprocess": to_json(self.preprocess),
            "canvas_side": self.canvas_side,
            "pixels": str(self.pixels),
            "canvases": str(self.canvases),
        }


@dataclass(frozen=True, slots=True)
class Task:
    """One file, the rows that it fills (-1: not wanted), its SHA-256 (None if it may have any)."""

    index: int
    path: Path
    pixels_row: int
    canvas_row: int
    digest: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As `zoo.data.worker` takes it."""
        return {
            "path": str(self.path),
            "pixels": self.pixels_row,
            "canvas": self.canvas_row,
            "sha256": self.digest,
        }


#: a file and what became of it, or why there will be no more answers
_Done = tuple[Task, dict[str, Any]] | BaseException | None


def in_children(
    tasks: Sequence[Task], order: Order, jobs: int, *, patience: float = PATIENCE
) -> Generator[tuple[Task, dict[str, Any]] | None, None, None]:
    """Each task with its answer (see `zoo.data.worker`), as they come; None after an idle second.

    Args:
        tasks: what to decode.
        order: what it becomes.
        jobs: how many children.
        patience: seconds after which a file's decoding is given up.

    Raises:
        Unavailable: a child cannot start.
    """
    with closing(Crew(order, jobs, patience=patience)) as crew:
        for task in tasks:
            crew.give(task)
        crew.give(None)
        left = len(tasks)
        while left:
            answer = crew.next()
            left -= answer is not None
            yield answer


class Crew:
    """Children that decode what they are given, in whatever order they come to be done.

    Args:
        order: what it becomes.
        jobs: how many children; each is started when there is something for it to do.
        patience: seconds after which a file's decoding is given up.
    """

    def __init__(self, order: Order, jobs: int, *, patience: float = PATIENCE) -> None:
        """Start a thread for each child."""
        self._todo: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[_Done] = queue.SimpleQueue()
        self._patience = patience
        self._looked = time.monotonic()  # whether somebody holds a file too long
        self._drivers = [_Driver(order, self._todo, jobs) for _ in range(jobs)]
        self._threads = [
            threading.Thread(target=driver.run, args=(self._done,), daemon=True)
            for driver in self._drivers
        ]
        for thread in self._threads:
            thread.start()

    def give(self, task: Task | None) -> None:
        """Have a file decoded; None says that no more come."""
        self._todo.put(task)

    def next(self) -> tuple[Task, dict[str, Any]] | None:
        """The next answer, or None after an idle second; whoever holds a file too long is killed.

        Raises:
            Unavailable: a child cannot start.
        """
        between = min(1.0, self._patience)
        if time.monotonic() - self._looked >= between:  # also while others answer
            self._looked = time.monotonic()
            for driver in self._drivers:
                driver.check(self._patience)
        try:
            answer = self._done.get(timeout=between)
        except queue.Empty:
            return None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def close(self) -> None:
        """End the children, whatever they are at, and have nobody wait for their answers."""
        self._todo.put(None)
        self._done.put(None)
        for driver in self._drivers:
            driver.stop()
        for driver, thread in zip(self._drivers, self._threads, strict=True):
            while thread.is_alive():
                driver.stop()  # again: it may have been about to ask its child for one more file
                thread.join(_BETWEEN_STOPS)


class _Driver:
    """A thread's work: feed one child; start another when it dies."""

    def __init__(self, order: Order, todo: queue.SimpleQueue[Task | None], jobs: int) -> None:
        self._order = order
        self._jobs = jobs
        self._todo = todo
        self._held: deque[Task] = deque()  # the child's, oldest first
        self._child: _Child | None = None
        self._stopped = False

    def run(self, done: queue.SimpleQueue[_Done]) -> None:
        try:
            while self._take() and not self._stopped:
                self._child = self._child or _Child(self._order)
                try:
                    answer = self._child.ask(self._held)
                except _DiedError as error:
                    self._child.close()
                    self._child = None
                    answer = {"reason": str(error)}
                done.put((self._held.popleft(), answer))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            done.put(error)
        finally:
            if self._child:
                self._child.close()

    def _take(self) -> bool:
        """Have a few tasks in hand, towards the end one, so that all end at once; whether any."""
        with suppress(queue.Empty):
            while len(self._held) < min(IN_FLIGHT, 1 + self._todo.qsize() // self._jobs):
                task = self._todo.get(block=not self._held)
                if task is None:
                    self._todo.put(None)  # for the others, too
                    break
                self._held.append(task)
        return bool(self._held)

    def check(self, patience: float) -> None:
        if child := self._child:
            child.check(patience)

    def stop(self) -> None:
        """Take no more tasks, and give up the one in hand."""
        self._stopped = True
        self.check(0)


class _DiedError(Exception):
    """The child is gone; the text says how, as a reason for the file that it held."""


class _Child:
    """One child process and its pipe."""

    def __init__(self, order: Order) -> None:
        """Start it and wait until it is ready (about 0.2 s)."""
        self._asked = 0.0  # when it turned to the file that it holds; 0 when it holds none
        self._told = 0  # how many files it was given that have no answer yet
        self._overdue = False
        self._last_words = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        self._process = subprocess.Popen(
            # -P: a json.py in the working directory is not for us
            [sys.executable, "-P", "-m", "zoo.data.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._last_words,
            env=child_environment(os.environ),
            start_new_session=True,  # Ctrl-C is the parent's to handle
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("both were asked for as pipes")
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        try:
            self._tell(order.to_json())
            self._answer()
        except _DiedError as error:
            self._last_words.seek(0)
            words = self._last_words.read().decode(errors="replace").strip()
            message = f"A process that decodes images cannot start ({self._ending()}).\n{words}"
            self.close()
            raise Unavailable(message.strip(), hint=_HINT) from error

    def ask(self, tasks: Sequence[Task]) -> dict[str, Any]:
        """The answer to the first of the tasks; the others are told it, too, if they were not.

        Args:
            tasks: those of the last time less the first, and then new ones.
        """
        self._asked = time.monotonic()
        for task in islice(tasks, self._told, None):
            self._tell(task.to_json())
        answer = self._answer()
        self._told = len(tasks) - 1
        self._asked = 0.0
        return answer

    def check(self, patience: float) -> None:
        """Kill it if it has held its file for longer than that."""
        asked = self._asked
        if asked and time.monotonic() - asked > patience:
            self._overdue = True
            self._process.kill()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._last_words.close()

    def _tell(self, message: Mapping[str, object]) -> None:
        # A broken pipe: it died before it could read. Its answers so far can be read all the same.
        with suppress(OSError):
            self._stdin.write(json.dumps(message).encode() + b"\n")
            self._stdin.flush()

    def _answer(self) -> dict[str, Any]:
        line = self._stdout.readline()
        if not line.endswith(b"\n"):
            raise _DiedError(self._how())
        return json.loads(line)

    def _how(self) -> str:
        how = self._ending()
        if self._overdue:
            return "decoding it takes too long"
        return f"decoding it kills the decoder ({how})"

    def _ending(self) -> str:
        code = self._process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def child_environment(parent: Mapping[str, str]) -> dict[str, str]:
    """The child's environment: the parent's import path, no secrets, one thread, kept memory."""
    kept = {
        key: value
        for key, value in parent.items()
        if key in _SEEN or key.startswith(_SEEN_PREFIXES)
    }
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return {
        **kept,
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PILLOW_BLOCKS_MAX": str(_PILLOW_BLOCKS),
        "MALLOC_MMAP_THRESHOLD_": str(_FROM_HEAP),
        "MALLOC_TRIM_THRESHOLD_": str(_KEPT),
    }
