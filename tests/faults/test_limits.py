"""Group P of the fault matrix, P5 and P10 to P15: streams, workers, limits, clocks, environments.

Not there: the CUDA half of P12, which needs a device (memory that ends on the host is here), and
P11 as written, since zoo has no workers that share memory: a test holds that it uses none.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .processes import AT, RUN, SLOW_STEPS, SOON, goes_on, read, same

if TYPE_CHECKING:
    from .processes import Launcher

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc"),
    pytest.mark.usefixtures("unharmed"),
]


@pytest.mark.parametrize("streams", ["P5-zoo-run-2>&1-|-head-1", "P5-zoo-run-|-true"])
def test_a_pipe_that_closes_loses_no_run(
    launch: Launcher, tmp_path: Path, whole: Path, streams: str
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    both = "2>&1" in streams
    run = launch(tmp_path, *RUN, code=SLOW_STEPS, out=pipe, err=pipe if both else None)
    with pipe.open() as reader:
        if both:
            assert reader.readline().startswith("decode: 15 images")
    ended = run.wait()
    assert ended.code == 0, ended.err
    same(tmp_path / "out", whole)
    assert read(tmp_path / "out" / "exit.json")["status"] == "finished"


CLOSED = "import os, sys; [os.close(number) for number in (1, 2)]; sys.stdout = sys.stderr = None"


@pytest.mark.parametrize("which", ["P5-closed", "P15-stderr-on-a-full-disk"])
def test_streams_that_cannot_be_written_lose_no_run(
    launch: Launcher, tmp_path: Path, whole: Path, which: str
) -> None:
    closed = which == "P5-closed"
    err = None if closed else "/dev/full"
    ended = launch(tmp_path, *RUN, code=CLOSED if closed else "", err=err).wait()
    assert ended.code == 0
    assert bool(ended.out) != closed
    same(tmp_path / "out", whole)


def test_p15_a_result_that_cannot_be_written_is_said_and_the_run_is_there(
    launch: Launcher, tmp_path: Path, whole: Path
) -> None:
    ended = launch(tmp_path, *RUN, out="/dev/full").wait()
    assert ended.code == 74
    assert "error: Reading or writing failed: [Errno 28] No space left on device.\n" in ended.err
    assert "Free space" in ended.err
    same(tmp_path / "out", whole)
    assert read(tmp_path / "out" / "exit.json")["status"] == "finished"


@pytest.mark.parametrize(
    ("streams", "code"), [(">&- 2>&-", 0), (">/dev/full", 74), ("2>/dev/full", 0)]
)
def test_p15_a_whole_process_bears_lost_streams(streams: str, code: int) -> None:
    command = f'exec "{sys.executable}" -m zoo why lite0 {streams}'
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert ran.returncode == code
    assert "Traceback" not in ran.stderr
    assert ("No space left on device" in ran.stderr) == (code == 74)


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        pytest.param({"HOME": None, "XDG_CACHE_HOME": None}, "", id="P15-HOME-unset"),
        pytest.param({"TERM": "dumb"}, "", id="P15-TERM=dumb-no-TTY"),
        pytest.param(
            {"LANG": "C", "LC_ALL": "C"},
            "import sys; sys.stdout.reconfigure(encoding='ascii')",
            id="P15-LANG=C",
        ),
    ],
)
def test_an_odd_environment_changes_no_bit(
    launch: Launcher, tmp_path: Path, whole: Path, environment: dict[str, str | None], code: str
) -> None:
    ended = launch(tmp_path, *RUN, code=code, environment=environment).wait()
    assert ended.code == 0, ended.err
    assert "\x1b" not in ended.out + ended.err
    same(tmp_path / "out", whole)


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"ZOO_CACHE": "/proc/no/cache"}, id="P15-unwritable-ZOO_CACHE"),
        pytest.param(
            {"ZOO_CACHE": None, "XDG_CACHE_HOME": None, "HOME": "/proc/no"},
            id="P15-read-only-HOME",
        ),
    ],
)
def test_a_cache_that_cannot_be_made_is_named_and_changes_no_bit(
    launch: Launcher, tmp_path: Path, whole: Path, environment: dict[str, str | None]
) -> None:
    ended = launch(tmp_path, *RUN, environment=environment).wait()
    assert ended.code == 0, ended.err
    (told,) = [line for line in ended.err.splitlines() if "cannot be written" in line]
    assert told.startswith("cache: /proc/no/")
    same(tmp_path / "out", whole)


#: a decoding child does this to itself at one file
WORKER = """
import functools
from zoo.data import ingest, pool
ingest.FEW = 1
ingest.in_children = functools.partial(pool.in_children, patience=1.0)
start = pool.subprocess.Popen
code = (
    "import os, zoo.data.worker as worker\\n"
    "answer = worker.answer\\n"
    "def faulty(header, request):\\n"
    "    if request['path'].endswith('bee/3.png'):\\n"
    "        os.kill(os.getpid(), {number})\\n"
    "    return answer(header, request)\\n"
    "worker.answer = faulty\\n"
    "worker.main()"
)
pool.subprocess.Popen = lambda command, **more: start([command[0], "-P", "-c", code], **more)
"""


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        pytest.param(signal.SIGKILL, "decoding it kills the decoder (SIGKILL)", id="P10-SIGKILL"),
        pytest.param(signal.SIGSEGV, "decoding it kills the decoder (SIGSEGV)", id="P10-SIGSEGV"),
        pytest.param(signal.SIGSTOP, "decoding it takes too long", id="P10-SIGSTOP"),
    ],
)
def test_a_decoder_that_dies_costs_one_file_which_is_named(
    launch: Launcher, tmp_path: Path, number: signal.Signals, reason: str
) -> None:
    code = WORKER.format(number=number.value)
    run = launch(tmp_path, *RUN, code=code)
    ended = run.wait(SOON)
    assert (ended.code, ended.out) == (65, "")
    assert "error: 1 of the images cannot be read:\n" in ended.err
    assert f"bee/3.png: {reason}\n" in ended.err
    assert "--bad-images skip" in ended.err.splitlines()[-1]
    assert run.children() == []
    assert not (tmp_path / "out").exists()
    ended = launch(tmp_path, *RUN, "--bad-images", "skip", code=code).wait(SOON)
    assert ended.code == 0, ended.err
    assert f"bee/3.png: {reason}\n" in ended.err


def test_p11_no_shared_memory_is_used(launch: Launcher, tmp_path: Path) -> None:
    code = f"""
import sys
from zoo.data import ingest, pool
ingest.FEW, ingest.in_children = 1, pool.in_children
def watch(event, arguments):
    if "shm" in event or any("/dev/shm" in str(one) for one in arguments):
        with open({str(tmp_path / "used")!r}, "a") as stream:
            stream.write(event)
sys.addaudithook(watch)
"""
    assert launch(tmp_path, *RUN, code=code).wait().code == 0
    assert not (tmp_path / "used").exists()
    probe = code + "\nimport contextlib\nwith contextlib.suppress(OSError): open('/dev/shm/none')"
    launch(tmp_path, only_code=True, code=probe).wait()
    assert (tmp_path / "used").read_text() == "open"


@pytest.mark.parametrize(
    "where",
    [
        pytest.param("at('zoo.training.gradients', 'loss_terms', 1, {}, True)", id="P12-step-0"),
        pytest.param("at('zoo.training.gradients', 'loss_terms', 5, {}, True)", id="P12-step-5"),
        pytest.param("at('zoo.training.train', 'quick_scores', 2, {})", id="P12-evaluation"),
    ],
)
def test_memory_that_ends_is_said_with_the_setting_that_helps(
    launch: Launcher, tmp_path: Path, whole: Path, where: str
) -> None:
    code = AT + "import torch\n" + where.format("lambda: torch.empty(1 << 58)")
    ended = launch(tmp_path, *RUN, "--set", "checkpoint.steps=2", code=code).wait()
    assert (ended.code, ended.out) == (71, "")
    assert ended.err.endswith("Use a smaller --batch-size or --image-size.\n")
    assert read(tmp_path / "out" / "exit.json")["code"] == 71
    goes_on(launch, tmp_path, whole)


def test_p13_64_open_files_are_enough(launch: Launcher, tmp_path: Path, whole: Path) -> None:
    code = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
    code += (
        "from zoo.data import ingest, pool\ningest.FEW, ingest.in_children = 1, pool.in_children"
    )
    ended = launch(tmp_path, *RUN, code=code).wait(SOON)
    assert ended.code == 0, ended.err
    same(tmp_path / "out", whole)


@pytest.mark.parametrize("more", [1, 2, 3, 4, 5])
def test_p13_too_few_open_files_are_said(
    launch: Launcher, tmp_path: Path, whole: Path, more: int
) -> None:
    code = f"""
import os, resource
from zoo.data import ingest, pool
ingest.FEW, ingest.in_children = 1, pool.in_children
limit = {more} + max(map(int, os.listdir("/proc/self/fd")[:-1]))
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
"""
    ended = launch(tmp_path, *RUN, code=code).wait(SOON)
    assert ended.code in {73, 74}  # by whether it is the run folder that cannot be opened
    assert "Too many open files" in ended.err
    if [*tmp_path.glob("out/*")]:  # nothing could be opened to look into it and take it away
        goes_on(launch, tmp_path, whole)


def test_p13_too_few_processes_are_said(launch: Launcher, tmp_path: Path) -> None:
    # RLIMIT_NPROC does not bind root, so what the system answers is put in its place.
    code = """
import errno, os
from zoo.data import ingest, pool
ingest.FEW, ingest.in_children = 1, pool.in_children
def refused(*given, **more):
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
pool.subprocess.Popen = refused
"""
    ended = launch(tmp_path, *RUN, code=code).wait(SOON)
    assert ended.code == 74
    assert "Resource temporarily unavailable" in ended.err
    assert not (tmp_path / "out").exists()


JUMPING = """
import itertools, time
jumps = itertools.cycle((0, -86_400, 86_400, 40 * 365 * 86_400))
for name, unit in (("time", 1), ("time_ns", 10**9)):
    real = getattr(time, name)
    setattr(time, name, lambda real=real, unit=unit: real() + unit * next(jumps))
"""


def test_p14_a_clock_that_jumps_changes_no_bit(
    launch: Launcher, tmp_path: Path, whole: Path
) -> None:
    code = JUMPING + AT + "at('zoo.training.gradients', 'loss_terms', 6, me(15))"
    ended = launch(tmp_path, *RUN, "--set", "checkpoint.steps=2", code=code).wait()
    assert ended.code == 143, ended.err
    older, newer = sorted((tmp_path / "out" / "checkpoints").glob("step-*"))
    for folder, when in ((older, 4e9), (newer, 1e9)):
        for path in (folder, *folder.iterdir()):
            os.utime(path, (when, when))
    ended = launch(tmp_path, "resume", "out", code=JUMPING).wait()
    assert ended.code == 0, ended.err
    same(tmp_path / "out", whole)
    lines = [json.loads(one) for one in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    assert all(line["seconds"] >= 0 and line["images_per_second"] >= 0 for line in lines)
