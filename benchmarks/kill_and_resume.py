"""Kill a run at random times until it is finished, and compare its bits with an unbroken run's.

    uv run python benchmarks/kill_and_resume.py --kills 200

Runs are real ones, through the command line: the whole network of `lite0` is trained on drawn
pictures, with a checkpoint every few steps. Most victims are forked from a process that has zoo
imported, since starting one takes longer than training; every tenth is a process of its own. What a
kill costs is measured: seconds and steps since the newest whole checkpoint, and the bytes of the
checkpoint that was being written.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SPEC = "lite0+linear:dropout=0.2+cekl"
MODEL = "model/model.safetensors"
#: one thread: with several, a sum's order and so its bits could depend on the load of the machine
ALONE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
#: so many forked victims for one that is a process of its own
WHOLE_PROCESS_EVERY = 10
START_SECONDS = 12.0


@dataclass
class Tally:
    """What the kills did.

    Args:
        kills: processes that died of SIGKILL.
        processes: those of them that were no forks.
        survived: kills after which the run could go on.
        runs: finished runs; `equal` of them have the unbroken run's bits.
        seconds: most work lost to one kill, s.
        steps: most optimiser steps lost to one kill, where they were counted.
        bytes: greatest unfinished checkpoint that a kill left.
        phases: kills by what the run was at.
    """

    kills: int = 0
    processes: int = 0
    survived: int = 0
    runs: int = 0
    equal: int = 0
    seconds: float = 0.0
    steps: int = 0
    bytes: int = 0
    phases: dict[str, int] = field(default_factory=dict)


def main() -> None:
    """Kill and resume, and print the tally as JSON."""
    given = _arguments()
    if any(os.environ.get(name) != one for name, one in ALONE.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ALONE})  # noqa: S606
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        start = _prepared(folder, given)
        whole, seconds = _unbroken(folder, start)
        draw, tally = random.Random(given.seed), Tally()  # noqa: S311 - when to kill, no secret
        while tally.kills < given.kills:
            run = folder / f"run-{tally.runs}"
            _until_finished(run, start, draw, seconds, tally)
            tally.runs += 1
            tally.equal += _left(run) == whole
            print(f"{tally.kills} kills, {tally.runs} runs", file=sys.stderr, flush=True)
    print(json.dumps({"unbroken_seconds": round(seconds, 1), **vars(tally)}, indent=2))
    if tally.equal != tally.runs or tally.survived != tally.kills:
        sys.exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _prepared(folder: Path, given: argparse.Namespace) -> list[str]:
    """Draw the pictures and import all that a run needs; the command line of the run."""
    import torch

    from zoo import hot
    from zoo.cli import main as command_line
    from zoo.data.demo import demo_folder

    os.environ["ZOO_CACHE"] = str(folder / "cache")
    torch.set_num_threads(1)
    pictures = demo_folder()
    start = [
        *("run", SPEC, "--data", str(pictures), "--train", "full", "--device", "cpu"),
        *("--image-size", "48", "--batch-size", "32", "--epochs", str(given.epochs)),
        *("--set", "checkpoint.steps=2"),
    ]
    for room in ("assemble", "checkpoints", "device", "evaluate", "predictor", "train"):
        hot.room(room)
    with suppress(SystemExit):
        command_line([*start, "--dry-run", "--json"])
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - a count
    if threads != 1:
        sys.exit(f"{threads} threads: it is not safe to fork.")
    return start


def _unbroken(folder: Path, start: list[str]) -> tuple[dict[str, Any], float]:
    """The run that nobody kills: what it leaves, and its seconds."""
    began = time.monotonic()
    child = _fork([*start, "--out", str(folder / "whole")], lambda: None)
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit("The unbroken run failed.")
    return _left(folder / "whole"), time.monotonic() - began


def _left(run: Path) -> dict[str, Any]:
    """The finished model and the epochs, less times."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    timed = {"seconds", "images_per_second"}
    return {
        "model": (run / MODEL).read_bytes(),
        "epochs": [
            {key: one for key, one in json.loads(line).items() if key not in timed}
            for line in lines
        ],
        "unfinished": [str(path) for path in run.rglob(".t*-*")],
    }


def _until_finished(
    run: Path, start: list[str], draw: random.Random, seconds: float, tally: Tally
) -> None:
    """Begin a run and go on with it until it is finished, killing it at random times."""
    killed = False
    while True:
        begun = (run / "plan.json").exists()
        arguments = ["resume", str(run)] if begun else [*start, "--out", str(run)]
        alone = tally.kills % WHOLE_PROCESS_EVERY == 0
        steps = _Steps(run.parent / "steps")
        child = _start(arguments) if alone else _fork(arguments, steps.count)
        time.sleep(draw.uniform(0, seconds / 2 + alone * START_SECONDS))
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code not in (0, -signal.SIGKILL):
            sys.exit(f"It ended with {code} after {tally.kills} kills: {run}")
        tally.survived += killed
        if code == 0:
            return
        killed = True
        tally.kills += 1
        tally.processes += alone
        _weigh(run, steps, tally)
        if (run / "exit.json").exists():  # killed when all was done, and said
            tally.survived += 1
            return


def _weigh(run: Path, steps: _Steps, tally: Tally) -> None:
    """What a kill cost."""
    now = time.time()
    saved = sorted(run.glob("checkpoints/step-*/manifest.json"))
    unfinished = [path for path in run.rglob(".tmp-*/*") if path.is_file()]
    tally.bytes = max(tally.bytes, sum(path.stat().st_size for path in unfinished))
    at = "training" if saved else "before the first checkpoint"
    if unfinished:
        at = "writing a checkpoint"
    elif (run / "model").exists():
        at = "writing the result"
    tally.phases[at] = tally.phases.get(at, 0) + 1
    if steps.done is None:
        return  # killed before it trained, or not counted: a process of its own
    since = max(steps.began, saved[-1].stat().st_mtime if saved else 0.0)
    tally.seconds = max(tally.seconds, round(now - since, 2))
    kept = int(saved[-1].parent.name.removeprefix("step-")) if saved else 0
    tally.steps = max(tally.steps, steps.done - kept)


class _Steps:
    """The steps that a forked run has done, told through memory that outlives it."""

    def __init__(self, file: Path) -> None:
        file.write_bytes(bytes(16))
        with file.open("r+b") as stream:
            self._memory = mmap.mmap(stream.fileno(), 16)

    def count(self) -> None:
        """In the child: note each step that begins, and when the first did."""
        from zoo.training import fit

        real = fit.optimise.set_rate

        def counted(optimizer: Any, step: int, recipe: Any) -> float:  # noqa: ANN401 - passed on
            if not self._memory[0:8].strip(b"\0"):
                self._memory[0:8] = int(time.time() * 1000).to_bytes(8, "little")
            self._memory[8:16] = step.to_bytes(8, "little")
            return real(optimizer, step, recipe)

        fit.optimise.set_rate = counted

    @property
    def began(self) -> float:
        """When training began, seconds since the epoch."""
        return int.from_bytes(self._memory[0:8], "little") / 1000

    @property
    def done(self) -> int | None:
        """Steps done when it was killed; None if it had not come to train."""
        return int.from_bytes(self._memory[8:16], "little") if self.began else None


def _start(arguments: list[str]) -> int:
    """A process of its own for a command line of zoo; its process id."""
    command = [sys.executable, "-m", "zoo", *arguments]
    return os.posix_spawn(
        command[0], command, os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)
        ],
    )  # fmt: skip


def _fork(arguments: list[str], prepare: Callable[[], None]) -> int:
    """A child that carries out a command line of zoo, quietly; its process id."""
    child = os.fork()
    if child == 0:
        _be_the_child(arguments, prepare)
    return child


def _be_the_child(arguments: list[str], prepare: Callable[[], None]) -> None:
    """Carry it out, and leave without what a process does at its end."""
    code = 1
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        prepare()
        from zoo.cli import main as command_line

        command_line(arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
