"""Surveys in child processes: a time limit, captured output, and nothing left running.

What a plugin starts ends with its survey, unless it has left the process group.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.plugins.child import failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zoo.plugins.distributions import Source

#: children at a time
_AT_ONCE = 2
#: a line of `-X importtime` on a top-level module: cumulative microseconds, name
_IMPORTED = re.compile(r"^import time:\s*\d+ \|\s*(\d+) \|\s*(\w+)$", re.MULTILINE)
#: variables that hold what opens something else
_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|(API|ACCESS|PRIVATE)_?KEY", re.IGNORECASE)
#: characters of a plugin's own output that are kept for `zoo plugins`
_TAIL = 4000


def survey(found: Sequence[Source], limit: float) -> Iterator[tuple[Source, dict[str, Any]]]:
    """The record of each plugin (see `zoo.plugins.child.survey`), a few plugins at a time.

    Args:
        found: plugins to import and ask.
        limit: seconds that each gets.
    """
    for start in range(0, len(found), _AT_ONCE):
        with tempfile.TemporaryDirectory(prefix="zoo-plugins-") as folder:
            batch = found[start : start + _AT_ONCE]
            children: list[_Child] = []
            try:
                for source in batch:
                    child = _Child(source, Path(folder) / source.distribution)
                    children.append(child)
                for child in children:
                    yield child.source, child.record(limit)
            finally:
                for child in children:
                    child.end()


def timed(source: Source, limit: float) -> tuple[dict[str, Any], dict[str, float]]:
    """The record of one plugin, asked by itself, and what its imports took.

    Args:
        source: the plugin.
        limit: seconds that it gets.

    Returns:
        The record (see `zoo.plugins.child.survey`), and for each top-level package or module that
        was imported for it the seconds, those of what it imports in turn included.
    """
    with tempfile.TemporaryDirectory(prefix="zoo-plugins-") as folder:
        child = _Child(source, Path(folder) / source.distribution, "-X", "importtime")
        try:
            record = child.record(limit)
            taken = {name: int(us) / 1e6 for us, name in _IMPORTED.findall(child.output())}
        finally:
            child.end()
    return record, {name: taken[name] for name in record["imported"] if name in taken}


def environment() -> dict[str, str]:
    """What a child may know of ours: being listed is no reason to learn a password."""
    return {name: value for name, value in os.environ.items() if not _SECRET.search(name)}


class _Child:
    """A running survey of one plugin.

    Args:
        source: the plugin.
        folder: to be made, for what the process writes.
        flags: of the interpreter.
    """

    def __init__(self, source: Source, folder: Path, *flags: str) -> None:
        """Start the process."""
        folder.mkdir()
        self.source = source
        self._result = folder / "record.json"
        self._output = folder / "output.txt"
        self._started = time.monotonic()
        with self._output.open("wb") as output:
            # A file takes what the plugin prints: a pipe would be held open by its own children.
            self._process = subprocess.Popen(  # noqa: S603 - the module is an installed plugin's
                [
                    *(sys.executable, *flags, "-P", "-m", "zoo.plugins.child"),
                    *(source.module, self._result, source.distribution),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment() | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,
            )

    def record(self, limit: float) -> dict[str, Any]:
        """Wait for the end, or for the time limit, and say what came of it."""
        try:
            code = self._process.wait(max(0.0, self._started + limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            # Remembered: else every later command would wait for it again.
            reason = f"it took more than {limit:g} s to be imported and asked"
            return self._failure(f"{reason}; try it again: zoo plugins --retry", lasting=True)
        self._kill_group()  # at once: its number is free to be another's, in time
        if self._result.exists():
            try:
                return json.loads(self._result.read_bytes())
            except ValueError:  # a full disk, say
                return self._failure("what it found could not be written whole")
        if code < 0:
            return self._failure(f"it crashed the process ({signal.Signals(-code).name})")
        return self._failure(f"it ended the process with exit code {code}", lasting=True)

    def end(self) -> None:
        """Kill whatever still runs of it."""
        if self._process.returncode is None:
            self._kill_group()
            self._process.kill()
            self._process.wait()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # nothing is left of it
            if os.name == "posix":
                os.killpg(self._process.pid, signal.SIGKILL)

    def output(self) -> str:
        """What it printed."""
        return self._output.read_bytes().decode("utf-8", "replace")

    def _failure(self, reason: str, *, lasting: bool = False) -> dict[str, Any]:
        with self._output.open("rb") as output:
            output.seek(max(0, self._output.stat().st_size - _TAIL))
            detail = output.read().decode("utf-8", "replace")
        return failure(reason, detail, lasting=lasting)
