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
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.plugins.children import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zoo.plugins.distributions import Source

#: seconds until a server has imported torch
_START = 120.0
#: characters of a child's own output that are told
_TAIL = 400


class Ended(NamedTuple):
    """How a child ended that did not end in order.

    Args:
        words: the signal or the exit code, or that its time was over.
        tail: the end of what it printed, behind a colon, or nothing.
    """

    words: str
    tail: str = ""


def listings(source: Source, path: Sequence[str], limit: float) -> list[dict[str, Any]]:
    """What `zoo.testing.listing` saw in two processes.

    They differ in what must not decide anything: hash seed, folder, home, and the environment, of
    which the second has no more than Python needs.

    A process that crashed, or took more than `limit` seconds, gives `{"died": words}`.
    """
    with tempfile.TemporaryDirectory(prefix="zoo-listing-") as folder:
        orders = [_listing(source, path, Path(folder), seed) for seed in _LISTING]
        servers = [server for server, _ in _LISTING.values()]
        for server, order in zip(servers, orders, strict=True):
            server.send(order)  # so both are at work at the same time
        return [
            _listed(server.outcome(order, limit), Path(order["results"]))
            for server, order in zip(servers, orders, strict=True)
        ]


def _listing(source: Source, path: Sequence[str], folder: Path, seed: str) -> dict[str, Any]:
    """The order of one listing."""
    home = folder / seed
    home.mkdir()
    _, environment_of = _LISTING[seed]
    return {
        "module": source.module,
        "distribution": source.distribution,
        "path": [*path],
        "cwd": str(home),
        "environment": environment_of() | {"PYTHONHASHSEED": seed, "HOME": str(home)},
        "results": str(folder / f"{seed}.json"),
        "output": str(folder / f"{seed}.txt"),
    }


def _listed(ended: Ended | None, file: Path) -> dict[str, Any]:
    if file.exists():
        return dict(json.loads(file.read_bytes()))
    if ended is None:
        return {"died": "it ended the process (exit code 0)"}
    if not ended.words.startswith("it "):
        return {"died": f"it ended the process ({ended.words}){ended.tail}"}
    return {"died": f"{ended.words} to be imported and asked"}


def _bare() -> dict[str, str]:
    """An environment that says nothing of the user, and hides the GPUs."""
    kept = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "VIRTUAL_ENV")
    found = {name: value for name, value in os.environ.items() if name in kept}
    return found | {"CUDA_VISIBLE_DEVICES": "", "TZ": "Pacific/Kiritimati", "LC_ALL": "C.UTF-8"}


def _usual() -> dict[str, str]:
    """The environment of this process, in which the GPUs can be seen."""
    return {name: one for name, one in environment().items() if name != "CUDA_VISIBLE_DEVICES"}


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
    """A process that forks a child for each order; see `zoo.testing.forking`.

    It is started at the first order and ends with this process.
    """

    def __init__(
        self, module: str, environment_of: Callable[[], dict[str, str]] = environment
    ) -> None:
        """Nothing is started yet.

        Args:
            module: what it runs.
            environment_of: gives the environment that it starts in.
        """
        self._module, self._environment_of = module, environment_of
        self._process: subprocess.Popen[str] | None = None
        self._said: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def carry_out(self, order: Mapping[str, Any], limit: float) -> Ended | None:
        """Have a child carry out an order, and wait for it: `send`, then `outcome`."""
        self.send(order)
        return self.outcome(order, limit)

    def send(self, order: Mapping[str, Any]) -> None:
        """Have a child begin with an order.

        Args:
            order: `output` is where the child's own output goes, `results` the file that grows as
                it gets on, `cwd` its folder; the rest is for the server's module to know.
        """
        process = self._running()
        assert process.stdin is not None  # noqa: S101 - for the type checker
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()

    def outcome(self, order: Mapping[str, Any], limit: float) -> Ended | None:
        """How the child ended that carries out the order that was sent; None if it did so in order.

        Args:
            order: as it was sent.
            limit: seconds without anything new in its `results` until the child is killed.
        """
        child = self._next(_START)
        if child is None:
            self.close()
            return Ended("the process that forks it ended")
        code = self._ended_child(Path(order["results"]), limit)
        if code is None:
            _kill(child)
            late = self._next(_START)  # how the killed one ended
            if late is None:
                self.close()
            return Ended(f"it took more than {limit:g} s")
        if not hasattr(os, "fork"):
            self.close()
        return Ended(_ended(code), _tail(Path(order["output"]))) if code else None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._said = queue.SimpleQueue()
            self._process = subprocess.Popen(  # noqa: S603 - one of our own modules
                [sys.executable, "-P", "-m", self._module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=self._environment_of()
                | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
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


def _seeded(seed: str, environment_of: Callable[[], dict[str, str]]) -> Server:
    return Server("zoo.testing.listing", lambda: environment_of() | {"PYTHONHASHSEED": seed})


#: hash seed → the server whose children list under it, and the environment beside it
_LISTING = {
    seed: (_seeded(seed, environment_of), environment_of)
    for seed, environment_of in {"1": _usual, "4242": _bare}.items()
}
#: for the checks of what options specify, which need no torch
LOOKUPS = Server("zoo.testing.lookups")
#: for the checks that need torch
HOT = Server("zoo.testing.hot.server")
