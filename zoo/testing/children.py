"""Work in other processes: listings of the cold half, and the checks that need torch."""

from __future__ import annotations

import atexit
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.plugins.children import environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zoo.plugins.distributions import Source

#: seconds until a server has imported torch
_START = 120.0
#: characters of a child's own output that are told
_TAIL = 400


def listings(source: Source, path: Sequence[str], limit: float) -> list[dict[str, Any]]:
    """What `zoo.testing.listing` saw in two processes.

    They differ in what must not decide anything: hash seed, folder, home, and the environment, of
    which the second has no more than Python needs.

    A process that crashed, or took more than `limit` seconds, gives `{"died": words}`.
    """
    with tempfile.TemporaryDirectory(prefix="zoo-listing-") as folder:
        children = [_Listing(source, path, Path(folder), seed) for seed in _SEEDS]
        return [child.told(limit) for child in children]


def _bare() -> dict[str, str]:
    """An environment that says nothing of the user, and hides the GPUs."""
    kept = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "VIRTUAL_ENV")
    found = {name: value for name, value in os.environ.items() if name in kept}
    return found | {"CUDA_VISIBLE_DEVICES": "", "TZ": "Pacific/Kiritimati", "LC_ALL": "C.UTF-8"}


def _usual() -> dict[str, str]:
    """The environment of this process, in which the GPUs can be seen."""
    return {name: one for name, one in environment().items() if name != "CUDA_VISIBLE_DEVICES"}


#: hash seed → the environment beside it
_SEEDS = {"1": _usual, "4242": _bare}


class _Listing:
    """One process that lists."""

    def __init__(self, source: Source, path: Sequence[str], folder: Path, seed: str) -> None:
        home = folder / seed
        home.mkdir()
        self._file, self._output = folder / f"{seed}.json", folder / f"{seed}.txt"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - an installed plugin's module
                [
                    *(sys.executable, "-P", "-m", "zoo.testing.listing"),
                    *(source.module, self._file, source.distribution),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=home,
                env=_SEEDS[seed]()
                | {"PYTHONPATH": os.pathsep.join(path), "PYTHONHASHSEED": seed, "HOME": str(home)},
                start_new_session=True,
            )

    def told(self, limit: float) -> dict[str, Any]:
        try:
            code = self._process.wait(limit)
        except subprocess.TimeoutExpired:
            _kill(self._process.pid)
            self._process.wait()
            return {"died": f"it took more than {limit:g} s to be imported and asked"}
        if self._file.exists():
            return dict(json.loads(self._file.read_bytes()))
        return {"died": f"it ended the process ({_ended(code)}){_tail(self._output)}"}


def _kill(group: int) -> None:
    """End a child and whatever it started."""
    with suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(group, signal.SIGKILL)
        else:
            os.kill(group, signal.SIGTERM)


def _ended(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _tail(output: Path) -> str:
    text = output.read_text("utf-8", "replace").strip()[-_TAIL:] if output.exists() else ""
    return f": {' '.join(text.split())}" if text else ""


class Server:
    """A process that has imported torch, and forks a child for each order.

    It is started at the first order and ends with this process.
    """

    def __init__(self) -> None:
        """Nothing is started yet."""
        self._process: subprocess.Popen[str] | None = None
        self._said: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def carry_out(self, order: Mapping[str, Any], limit: float) -> str:
        """Have a child carry out an order; how it ended, in words, or empty if it did so in order.

        Args:
            order: see `zoo.testing.hot.work.carry_out`; `output` is where its own output goes.
            limit: seconds without a new line in the order's `results` until it is killed.
        """
        process = self._running()
        assert process.stdin is not None  # noqa: S101 - for the type checker
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        child = self._next(_START)
        if child is None:
            self.close()
            return "the process that imports torch ended"
        code = self._ended_child(Path(order["results"]), limit)
        if code is None:
            _kill(child)
            late = self._next(_START)  # how the killed one ended
            if late is None:
                self.close()
            return f"it took more than {limit:g} s"
        if not hasattr(os, "fork"):
            self.close()
        return f"{_ended(code)}{_tail(Path(order['output']))}" if code else ""

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._said = queue.SimpleQueue()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "zoo.testing.hot.server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment() | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            atexit.register(self.close)
            listener = threading.Thread(
                target=_listen, args=(self._process, self._said), daemon=True
            )
            listener.start()
        return self._process

    def _ended_child(self, results: Path, limit: float) -> int | None:
        """The exit code of the child; None if it gets no further for `limit` seconds."""
        size, moved = 0, time.monotonic()
        while (left := moved + limit - time.monotonic()) > 0:
            code = self._next(min(left, 1.0))
            if code is not None or self._process is None or self._process.poll() is not None:
                return code
            now = results.stat().st_size if results.exists() else 0
            if now != size:
                size, moved = now, time.monotonic()
        return None

    def _next(self, limit: float) -> int | None:
        try:
            return self._said.get(timeout=limit)
        except queue.Empty:
            return None

    def close(self) -> None:
        """End the server."""
        process, self._process = self._process, None
        atexit.unregister(self.close)
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _listen(process: subprocess.Popen[str], said: queue.SimpleQueue[int | None]) -> None:
    """Put each number that the server says into the queue, and None at its end."""
    assert process.stdout is not None  # noqa: S101 - for the type checker
    with suppress(ValueError):  # closed while it is read
        for line in process.stdout:
            said.put(int(line))
    said.put(None)
