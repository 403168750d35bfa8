"""What the tests of crashes share."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORKS = Path(__file__).with_name("forks.py")
#: what is different from run to run
TIMED = ("seconds", "images_per_second")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command line ended: by exit code or by signal, what it printed, its peak memory."""

    code: int | None
    signal: int | None
    out: str
    err: str
    kilobytes: int


class Forks:
    """Carries out command lines of zoo in children of a process that has it imported."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._answer()

    def __call__(self, *arguments: object, cwd: Path, **how: Any) -> Ended:  # noqa: ANN401 - JSON
        """Run `zoo ARGUMENTS...`.

        Args:
            arguments: of the command line.
            cwd: where.
            how: `env`, `file_limit` (bytes), `user` (number), `fault` (see `forks.fail`).
        """
        request: dict[str, Any] = {
            "arguments": [str(one) for one in arguments],
            "cwd": str(cwd),
            "env": {},
            **how,
        }
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Ended(**self._answer())

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        return dict(json.loads(self._process.stdout.readline()))


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with subprocess.Popen(
        [sys.executable, FORKS],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, **one_thread},
    ) as process:  # fmt: skip
        yield Forks(process)
        process.stdin.close()  # type: ignore[union-attr]


@pytest.fixture
def left() -> Callable[[Path], dict[str, Any]]:
    """What a finished run leaves, less times; epochs that metrics.jsonl has twice show."""

    def of(folder: Path) -> dict[str, Any]:
        summary = json.loads((folder / "summary.json").read_text())
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        model = (folder / "model" / "model.safetensors").read_bytes()
        return {
            "model": hashlib.sha256(model).hexdigest(),
            "metrics": [
                {key: value for key, value in json.loads(line).items() if key not in TIMED}
                for line in lines
            ],
            "summary": {key: value for key, value in summary.items() if key not in TIMED},
            "split": (folder / "split.json").read_text(),
            "status": json.loads((folder / "exit.json").read_text())["status"],
            "unfinished": [str(path) for path in folder.rglob(".t*-*")],
        }

    return of


@pytest.fixture
def tree() -> Callable[[Path], dict[str, str]]:
    """Every file below a folder with the hash of its bytes and its time of change."""

    def of(folder: Path) -> dict[str, str]:
        return {
            str(path.relative_to(folder)): f"{path.lstat().st_mtime_ns} "
            + (hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
            for path in sorted(folder.rglob("*"))
        }

    return of
