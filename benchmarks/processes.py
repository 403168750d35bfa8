"""Whole processes, measured from outside: seconds, memory, decoded images, forward passes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ZOO = str(Path(sys.executable).with_name("zoo"))
LITE0 = "efficientnet-lite/lite0"
_COUNTER = Path(__file__).resolve().parent / "peers" / "tally"
_LAST_WORDS = 2000


@dataclass(frozen=True, slots=True)
class Measured:
    """One process, with all that it started and waited for.

    Args:
        wall: seconds from its start to its exit.
        user: CPU seconds of its own.
        system: CPU seconds of the kernel for it.
        rss: most memory that one of its processes held at once, MB.
        decoded: images decoded, by Pillow or simplejpeg.
        forwards: images that went into a network.
        output: its standard output.
    """

    wall: float
    user: float
    system: float
    rss: float
    decoded: int
    forwards: int
    output: str


def measured(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Measured:
    """Run a command to its end.

    Args:
        command: the program, a path, and its arguments.
        environment: what it sees beside the present one.

    Raises:
        RuntimeError: it failed; the text has its last words.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, errors, tally = (Path(folder) / name for name in ("out", "errors", "tally"))
        counting = {"PYTHONPATH": str(_COUNTER), "PYTHON_TALLY": str(tally)}
        seen = {**os.environ, **(environment or {}), **counting}
        with out.open("wb") as output, errors.open("wb") as trouble:
            started = time.perf_counter()
            child = subprocess.Popen(  # noqa: S603 - commands of ours
                command, env=seen, stdin=subprocess.DEVNULL, stdout=output, stderr=trouble
            )
            try:  # wait4 alone tells what one child used
                _, status, used = os.wait4(child.pid, 0)
            except BaseException:
                child.kill()
                child.wait()
                raise
            wall = time.perf_counter() - started
            child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            words = errors.read_text("utf-8", "replace")[-_LAST_WORDS:]
            raise RuntimeError(f"{' '.join(command)} ended with {child.returncode}:\n{words}")
        decoded, forwards = counts(tally)
        text = out.read_text("utf-8")
    # Linux counts this in KiB, macOS in bytes
    rss = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    return Measured(wall, used.ru_utime, used.ru_stime, rss, decoded, forwards, text)


def counts(tally: Path) -> tuple[int, int]:
    """Images decoded, and images that went into a network, by the lines of `sitecustomize.py`."""
    lines = tally.read_text("ascii").splitlines() if tally.exists() else []
    forwards = sum(int(line.split()[1]) for line in lines if line.startswith("f"))
    return lines.count("d"), forwards
