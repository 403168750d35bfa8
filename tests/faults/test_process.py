"""Group P of the fault matrix, P3 to P5: signals and streams.

P1, P2 and P6 to P9 have files of their own.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .processes import AT, FROM, NO_PROXY, RUN, SLOW_STEPS, SOON, goes_on, read, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .processes import Launcher

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc"),
    pytest.mark.usefixtures("unharmed"),
]


#: pictures are decoded by children, slowly
SLOW_CHILDREN = """
from zoo.data import ingest, pool
ingest.FEW, ingest.in_children = 1, pool.in_children
start = pool.subprocess.Popen
code = (
    "import time, zoo.data.worker as worker\\n"
    "answer = worker.answer\\n"
    "worker.answer = lambda *given: (time.sleep(0.2), answer(*given))[1]\\n"
    "worker.main()"
)
pool.subprocess.Popen = lambda command, **more: start([command[0], "-P", "-c", code], **more)
"""


#: they are decoded as early as in a process that has not imported torch yet
BEFORE_TORCH = "from zoo import hot\nhot.is_open = lambda: False\n"
early_too = pytest.mark.parametrize("first", ["", BEFORE_TORCH], ids=["", "before-torch"])

STOPS = {
    "P3-SIGTERM-mid-step": (143, "at('zoo.training.gradients', 'loss_terms', 3, me(15))"),
    "P3-SIGTERM-in-validation": (143, "at('zoo.training.train', 'quick_scores', 2, me(15))"),
    "P3-SIGTERM-while-decoding": (143, "at('tests.conftest', 'answer', 4, me(15))"),
    "P3-SIGTERM-while-decoding-before-torch-is-imported": (
        143,
        f"{BEFORE_TORCH}at('tests.conftest', 'answer', 4, me(15))",
    ),
    "P3-SIGTERM-while-features-are-computed": (
        143,
        "at('zoo.training.features', 'view_features', 1, me(15))",
    ),
    "P4-SIGINT-once": (130, "at('zoo.training.gradients', 'loss_terms', 3, me(2))"),
    "P4-SIGINT-twice": (130, "at('zoo.training.gradients', 'loss_terms', 3, me(2, 2))"),
    "P3-SIGTERM-twice": (143, "at('zoo.training.gradients', 'loss_terms', 3, me(15, 15))"),
    "P5-SIGHUP": (129, "at('zoo.training.gradients', 'loss_terms', 5, me(1))"),
    "P5-SIGHUP-then-SIGTERM": (143, "at('zoo.training.gradients', 'loss_terms', 5, me(1, 15))"),
}
SAVING = """
from zoo.training import checkpoints
save = checkpoints.save_checkpoint
def saving(*given):
    checkpoints.save_checkpoint = save
    at("zoo.files", "crash_point", {}, me(15))
    return save(*given)
checkpoints.save_checkpoint = saving
"""
#: boundaries of a checkpoint's writing at which SIGTERM arrives
BOUNDARIES = (1, 2, 5, 9, 14, 20, 26, 30)
STOPS |= {
    f"P3-SIGTERM-inside-a-save-{n}": (
        143,
        SAVING.format(n),
    )
    for n in BOUNDARIES
}


@pytest.mark.parametrize(("code", "where"), STOPS.values(), ids=STOPS)
def test_a_signal_ends_a_run_that_goes_on_to_the_same_bits(
    launch: Launcher,
    tmp_path: Path,
    whole: Path,
    code: int,
    where: str,
    request: pytest.FixtureRequest,
) -> None:
    began = time.monotonic()
    ended = launch(tmp_path, *RUN, "--set", "checkpoint.steps=2", code=AT + where).wait()
    assert time.monotonic() - began < SOON
    assert ended.code == code
    assert ended.out == ""
    at_once = "twice" in request.node.name or "then" in request.node.name
    if not at_once:
        assert "error: Stopped by SIG" in ended.err
        assert ended.err.endswith("Go on with: zoo resume out\n")
        assert read(tmp_path / "out" / "exit.json") | {"ended": 0} == {
            "status": "stopped",
            "code": code,
            "reason": ended.err.splitlines()[-2].removeprefix("error: "),
            "ended": 0,
        }
    goes_on(launch, tmp_path, whole)


def test_p3_sigterm_while_hashing_leaves_nothing(launch: Launcher, tmp_path: Path) -> None:
    ended = launch(tmp_path, *RUN, code=AT + "at('zoo.data.hashes', 'hashed', 4, me(15))").wait()
    assert (ended.code, ended.out) == (143, "")
    assert ended.err == "error: Stopped by SIGTERM.\n"
    assert not (tmp_path / "out").exists()


class Slow(BaseHTTPRequestHandler):
    """Sends a large file, a little at a time, without end."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 40))
        self.end_headers()
        try:
            while True:
                self.wfile.write(bytes(1 << 20))
        except OSError:
            return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base has it
        """Quietly."""


@pytest.fixture
def endless() -> Iterator[str]:
    """A source of weights that never comes to its end."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/net.safetensors"
        server.shutdown()
        thread.join()


def test_p3_sigterm_while_downloading_leaves_no_part_of_a_file(
    launch: Launcher, tmp_path: Path, endless: str
) -> None:
    arguments = [one if one != "none" else "default" for one in RUN]
    code = FROM.format(url=endless, sha256="0" * 64)
    run = launch(tmp_path, *arguments, code=code, environment=NO_PROXY)
    weights = tmp_path / "cache" / "weights"
    run.until(lambda: any(part.stat().st_size for part in weights.glob("*.part")))
    run.send(signal.SIGTERM)
    ended = run.wait(SOON)
    assert (ended.code, ended.out) == (143, "")
    assert "error: Stopped by SIGTERM.\n" in ended.err
    assert not [*weights.iterdir()]


@early_too
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_p4_a_run_that_decodes_leaves_no_process_behind(
    launch: Launcher, tmp_path: Path, whole: Path, number: signal.Signals, first: str
) -> None:
    run = launch(tmp_path, *RUN, code=first + SLOW_CHILDREN)
    run.until(run.children)
    run.send(number)
    ended = run.wait(SOON)
    assert ended.code == {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}[number.name]
    assert ended.err.endswith(f"error: Stopped by {number.name}.\nGo on with: zoo resume out\n")
    assert run.children() == []
    goes_on(launch, tmp_path, whole)


@early_too
def test_p3_sigterm_while_every_decoder_hangs(
    launch: Launcher, tmp_path: Path, whole: Path, first: str
) -> None:
    run = launch(tmp_path, *RUN, code=first + SLOW_CHILDREN.replace("0.2", "3600"))
    run.until(run.children)
    run.send(signal.SIGTERM)
    assert run.wait(SOON).code == 143
    assert run.children() == []
    goes_on(launch, tmp_path, whole)


@early_too
@pytest.mark.parametrize("how", ["P4-ten-times-in-a-second", "P4-killed"])
def test_children_end_with_a_run_that_cannot_end_them(
    launch: Launcher, tmp_path: Path, whole: Path, how: str, first: str
) -> None:
    run = launch(tmp_path, *RUN, code=first + SLOW_CHILDREN)
    run.until(lambda: (tmp_path / "out" / "split.json").exists() and run.children())
    if how == "P4-killed":
        run.send(signal.SIGKILL)
    else:
        for _ in range(10):
            with contextlib.suppress(ProcessLookupError):
                run.send(signal.SIGINT)
            time.sleep(0.1)
    assert run.wait(SOON).code == (-9 if how == "P4-killed" else 130)
    run.until(lambda: not run.children(), seconds=5)
    goes_on(launch, tmp_path, whole)


def test_p5_sigusr1_saves_and_goes_on(launch: Launcher, tmp_path: Path, whole: Path) -> None:
    code = AT + "at('zoo.training.gradients', 'loss_terms', 3, me(signal.SIGUSR1))"
    ended = launch(tmp_path, *RUN, "--set", "checkpoint.seconds=1e9", code=code).wait()
    assert ended.code == 0, ended.err
    names = sorted(path.name for path in (tmp_path / "out" / "checkpoints").glob("step-*"))
    assert names == ["step-00000003", "step-00000008"]
    same(tmp_path / "out", whole)


def test_p5_a_signal_that_the_parent_ignores_stays_ignored(
    launch: Launcher, tmp_path: Path, whole: Path
) -> None:
    code = (
        AT
        + "signal.signal(1, signal.SIG_IGN)\nat('zoo.training.gradients', 'loss_terms', 3, me(1))"
    )
    ended = launch(tmp_path, *RUN, code=code).wait()
    assert ended.code == 0, ended.err
    same(tmp_path / "out", whole)


def test_p5_a_run_that_was_halted_goes_on(launch: Launcher, tmp_path: Path, whole: Path) -> None:
    run = launch(tmp_path, *RUN, code=SLOW_STEPS)
    run.until((tmp_path / "out" / "metrics.jsonl").exists)
    run.send(signal.SIGSTOP)
    lines = (tmp_path / "out" / "metrics.jsonl").read_text()
    time.sleep(0.3)
    assert (tmp_path / "out" / "metrics.jsonl").read_text() == lines
    run.send(signal.SIGCONT)
    assert run.wait().code == 0
    same(tmp_path / "out", whole)
