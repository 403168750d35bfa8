"""Children that decode: whatever a file does to one costs that file alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.data.pictures import RECIPE, take
from zoo.data import pool
from zoo.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FAULTY = """
import os, time
from pathlib import Path
import zoo.data.worker as worker
read = worker.read
def faulty(path):
    if path.stem == "07":
        {fault}
    return read(path)
worker.read = faulty
worker.main()
"""


def with_fault(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Let the children run a worker that does `fault` on the file 07.png."""
    start = subprocess.Popen
    code = FAULTY.format(fault=fault)

    def faulty(
        command: list[str],
        **options: Any,  # noqa: ANN401 - passed on
    ) -> subprocess.Popen[bytes]:
        assert command[1:] == ["-P", "-m", "zoo.data.worker"]
        return start([command[0], "-P", "-c", code], **options)

    monkeypatch.setattr(pool.subprocess, "Popen", faulty)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_file_that_crashes_the_decoder_costs_that_file_alone(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = take(files, tmp_path)
    with_fault(monkeypatch, f"os.kill(os.getpid(), {signal.SIGSEGV.value})")
    images = take(files, tmp_path, jobs=2)
    assert [problem.index for problem in images.problems] == [4, 7, 11]
    assert "SIGSEGV" in images.problems[1].reason
    others = [place for place in range(20) if place != 7]
    assert np.array_equal(images.sizes[others], good.sizes[others])
    assert np.array_equal(images.pixels, good.pixels)  # 07 is odd: only its canvas was wanted


@pytest.mark.skipif(os.name != "posix", reason="limits of a process")
def test_a_file_that_takes_too_much_memory_costs_that_file_alone(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_fault(monkeypatch, "bytearray(worker.MEMORY)")
    images = take(files, tmp_path)
    assert [problem.index for problem in images.problems] == [4, 7, 11]
    assert "memory" in images.problems[1].reason


def test_a_file_that_takes_for_ever_is_given_up(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_fault(monkeypatch, "time.sleep(60)")
    for name in ("pixels", "canvases"):
        (tmp_path / name).write_bytes(bytes(20 * 16 * 24 * 3))
    order = pool.Order(RECIPE, 8, tmp_path / "pixels", tmp_path / "canvases")
    tasks = [pool.Task(place, path, place, place) for place, path in enumerate(files)]
    answers = {
        task.index: answer
        for task, answer in filter(None, pool.in_children(tasks, order, 2, patience=0.4))
    }
    assert answers[7] == {"reason": "decoding it takes too long"}
    assert len(answers) == 20


def test_whether_a_file_takes_too_long_is_looked_at_while_others_are_answered(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = count()  # a second passes whenever somebody looks at the clock
    monkeypatch.setattr(pool, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    looked: list[float] = []

    def look(_: object, patience: float) -> None:
        looked.append(patience)

    monkeypatch.setattr(pool._Driver, "check", look)  # noqa: SLF001 - what it is asked
    for name in ("pixels", "canvases"):
        (tmp_path / name).write_bytes(bytes(20 * 16 * 24 * 3))
    order = pool.Order(RECIPE, 8, tmp_path / "pixels", tmp_path / "canvases")
    tasks = [pool.Task(place, path, place, place) for place, path in enumerate(files)]
    answers = [*pool.in_children(tasks, order, 1)]
    assert looked.count(pool.PATIENCE) == len(answers)


def test_files_that_wait_behind_one_that_kills_the_decoder_go_to_the_next(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_fault(monkeypatch, "os._exit(3)")
    for name in ("pixels", "canvases"):
        (tmp_path / name).write_bytes(bytes(20 * 16 * 24 * 3))
    order = pool.Order(RECIPE, 8, tmp_path / "pixels", tmp_path / "canvases")
    tasks = [pool.Task(place, path, place, place) for place, path in enumerate(files)]
    answers = [answer for answer in pool.in_children(tasks, order, 1) if answer]
    assert [task.index for task, _ in answers] == list(range(20))
    refused = {task.index: said["reason"] for task, said in answers if "reason" in said}
    assert refused.keys() == {4, 7, 11}
    assert refused[7] == "decoding it kills the decoder (exit code 3)"


def test_a_child_that_cannot_start_says_why(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(_parent: Mapping[str, str]) -> dict[str, str]:
        return {"PYTHONPATH": "", "PYTHONHOME": "/none"}

    monkeypatch.setattr(pool, "child_environment", nowhere)
    with pytest.raises(Unavailable) as caught:
        take(files, tmp_path)
    first, _, words = caught.value.message.partition("\n")
    assert first == "A process that decodes images cannot start (exit code 1)."
    assert "encodings" in words  # what the interpreter misses


def test_a_failure_while_reporting_ends_the_children(files: list[Path], tmp_path: Path) -> None:
    def stop(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        take(files, tmp_path, progress=stop)
    assert threading.active_count() == before
    assert list(tmp_path.iterdir()) == []


def test_closing_ends_a_child_that_is_given_a_file_at_that_moment(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_fault(monkeypatch, "time.sleep(600)")
    for name in ("pixels", "canvases"):
        (tmp_path / name).write_bytes(bytes(20 * 16 * 24 * 3))
    order = pool.Order(RECIPE, 8, tmp_path / "pixels", tmp_path / "canvases")
    asking, stopped = threading.Event(), threading.Event()
    child, driver = pool._Child, pool._Driver  # noqa: SLF001 - what happens between the two
    ask, stop = child.ask, driver.stop

    def late(one: Any, tasks: Sequence[pool.Task]) -> dict[str, Any]:  # noqa: ANN401
        asking.set()
        assert stopped.wait(60)
        return ask(one, tasks)

    def told(one: Any) -> None:  # noqa: ANN401
        stop(one)
        stopped.set()

    monkeypatch.setattr(child, "ask", late)
    monkeypatch.setattr(driver, "stop", told)
    crew = pool.Crew(order, 1)
    crew.give(pool.Task(0, files[7], 0, 0))
    assert asking.wait(60)
    closing = threading.Thread(target=crew.close, daemon=True)
    closing.start()
    closing.join(20)
    assert not closing.is_alive()


def test_children_do_not_see_secrets() -> None:
    environment = pool.child_environment(
        {"HF_TOKEN": "x", "DATABASE_URL": "x", "SSH_AUTH_SOCK": "x", "HOME": "/h", "LC_ALL": "C"}
    )
    assert {name: environment[name] for name in ("HOME", "LC_ALL")} == {"HOME": "/h", "LC_ALL": "C"}
    assert not {"HF_TOKEN", "DATABASE_URL", "SSH_AUTH_SOCK"} & environment.keys()


def test_the_room_never_imports_torch_and_children_never_run_the_script(
    files: list[Path], tmp_path: Path
) -> None:
    # no `if __name__ == "__main__"`: multiprocessing would run this script again in each child
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\n"
        "import zoo.data.augment, zoo.data.demo, zoo.data.split\n"
        "from zoo.components import Preprocess\nfrom zoo.data.ingest import ingest\n"
        "from zoo.data.table import read_images\n"
        f"paths = read_images([Path({str(files[0].parent)!r})])\n"
        "images = ingest(paths, preprocess=Preprocess(), want_pixels=[True] * len(paths),\n"
        "    want_canvas=[True] * len(paths), canvas_side=8, scratch=Path('scratch'))\n"
        "print(len(images.problems), sorted({'torch', 'torchvision', 'timm'} & set(sys.modules)))\n"
    )
    (tmp_path / "work").mkdir()
    (tmp_path / "work/json.py").write_text("raise RuntimeError")
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path / "work", env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout == "2 []\n"
