"""Group K of the fault matrix: commands that meet in one folder, or in one cache.

K5 (retention deletes a checkpoint that somebody reads) cannot come about: what reads checkpoints is
`zoo resume`, which holds the run's lock meanwhile; a test holds that. Of K2, a lock from another
host is the file system's affair: the lock is the system's own, and ends with its holder there, too.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
from safetensors.numpy import load_file

from .processes import FROM, NO_PROXY, RUN, SLOW_STEPS, goes_on, read, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .processes import Ended, Launcher, Process

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc"),
    pytest.mark.usefixtures("unharmed"),
]

PROBE = [one if one != "full" else "probe" for one in RUN]
ROUNDS = 12


def is_held(folder: Path) -> bool:
    return (folder / "out" / "checkpoints").is_dir()


def test_k1_of_two_runs_in_one_folder_one_proceeds(
    launch: Launcher, tmp_path: Path, whole: Path
) -> None:
    for number in range(ROUNDS):
        arguments = [one if one != "out" else f"out{number}" for one in RUN]
        both = [launch(tmp_path, *arguments, code=SLOW_STEPS) for _ in range(2)]
        ended = [run.wait() for run in both]
        codes = [one.code for one in ended]
        assert sorted(codes) == [0, 73], [one.err for one in ended]
        winner, loser = both[codes.index(0)], ended[codes.index(73)]
        who = f"process {winner.pid} on {socket.gethostname()}"
        assert f"out{number} belongs to {who}, which is at work in it.\n" in loser.err
        assert "another --out" in loser.err.splitlines()[-1]
        assert loser.out == ""
        same(tmp_path / f"out{number}", whole)


def test_k1_runs_without_a_folder_get_one_each(
    launch: Launcher, tmp_path: Path, whole: Path
) -> None:
    arguments = [one for one in RUN if one not in {"--out", "out"}]
    ended = [run.wait() for run in [launch(tmp_path, *arguments) for _ in range(4)]]
    assert [one.code for one in ended] == [0] * 4
    folders = sorted((tmp_path / "runs").iterdir())
    assert [folder.name[-2:] for folder in folders] == ["-1", "-2", "-3", "-4"]
    for folder in folders:
        same(folder, whole)


def test_k2_the_lock_of_a_killed_run_frees_itself(
    launch: Launcher, tmp_path: Path, whole: Path
) -> None:
    run = launch(tmp_path, *RUN, "--set", "checkpoint.steps=2", code=SLOW_STEPS)
    run.until(lambda: is_held(tmp_path))
    busy = launch(tmp_path, "resume", "out").wait()
    assert busy.code == 73
    assert f"process {run.pid} on {socket.gethostname()}" in busy.err
    run.send(signal.SIGKILL)
    assert run.wait().code == -signal.SIGKILL
    assert json.loads((tmp_path / "out" / "run.lock").read_text())["pid"] == run.pid
    again = launch(tmp_path, *RUN).wait()
    assert again.code == 73
    assert "out is not empty" in again.err
    assert "zoo resume" in again.err
    goes_on(launch, tmp_path, whole)
    assert not (tmp_path / "out" / "run.lock").exists()


def test_k2_two_that_resume_one_run_at_once(launch: Launcher, tmp_path: Path, whole: Path) -> None:
    run = launch(tmp_path, *RUN, "--set", "checkpoint.steps=2", code=SLOW_STEPS)
    run.until(lambda: is_held(tmp_path))
    run.send(signal.SIGTERM)
    assert run.wait().code == 143
    both = [launch(tmp_path, "resume", "out", code=SLOW_STEPS) for _ in range(2)]
    assert sorted(one.wait().code for one in both) == [0, 73]
    same(tmp_path / "out", whole)


#: every boundary of a durable write takes a while, and so does what lies between two of them
SLOW_WRITES = """
import time
from zoo import files
files.crash_point = lambda what: time.sleep(0.01)
"""


def test_k3_readers_meet_a_whole_run_or_none(launch: Launcher, tmp_path: Path, whole: Path) -> None:
    run = launch(tmp_path, *RUN, "--set", "checkpoint.steps=1", code=SLOW_WRITES)
    run.until((tmp_path / "out" / "plan.json").exists)
    commands = {
        "predict": ("predict", "out", "images/ant/0.png", "--json"),
        "eval": ("eval", "out", "--data", "images", "--json"),
        "show": ("show", "out"),
        "resume": ("resume", "out"),
    }
    met: dict[str, list[Ended]] = {name: [] for name in commands}
    while not (tmp_path / "out" / "exit.json").exists():
        readers = {name: launch(tmp_path, *given) for name, given in commands.items()}
        for name, reader in readers.items():
            met[name].append(reader.wait())
    assert run.wait().code == 0
    assert all(len(one) > 1 for one in met.values())
    for name in ("predict", "eval"):
        early = [one for one in met[name] if one.code]
        assert {one.code for one in early} == {66}
        assert all("zoo resume out" in one.err for one in early)
    assert {one.code for one in met["show"]} == {0}
    # The last of them may have come when all was over.
    assert {one.code for one in met["resume"][:-1]} == {73}
    assert all(f"process {run.pid} on" in one.err for one in met["resume"][:-1])
    same(tmp_path / "out", whole)


class Weights(BaseHTTPRequestHandler):
    """Sends the weights slowly, so that all who ask at once are served at once."""

    data: ClassVar[bytes] = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.data)))
        self.end_headers()
        for start in range(0, len(self.data), 1 << 10):
            self.wfile.write(self.data[start : start + (1 << 10)])
            time.sleep(0.02)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base has it
        """Quietly."""


@pytest.fixture
def source(whole: Path) -> Iterator[tuple[str, str]]:
    """Where the weights of a finished run can be had, and their SHA-256."""
    from safetensors.numpy import save

    tensors = load_file(whole / "model" / "model.safetensors")
    backbone = {
        name.removeprefix("backbone."): tensor
        for name, tensor in tensors.items()
        if name.startswith("backbone.")
    }
    Weights.data = save(backbone)
    with ThreadingHTTPServer(("127.0.0.1", 0), Weights) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/net.safetensors"
        yield url, hashlib.sha256(Weights.data).hexdigest()
        server.shutdown()
        thread.join()


def test_k4_eight_processes_that_fetch_the_same_weights(
    launch: Launcher, tmp_path: Path, source: tuple[str, str]
) -> None:
    url, sha256 = source
    arguments = [one if one != "none" else "default" for one in RUN]
    runs: list[Process] = []
    for number in range(8):
        named = [one if one != "out" else f"out{number}" for one in arguments]
        code = FROM.format(url=url, sha256=sha256)
        runs.append(launch(tmp_path, *named, code=code, environment=NO_PROXY))
    ended = [run.wait() for run in runs]
    assert [one.code for one in ended] == [0] * 8, [one.err for one in ended]
    (file,) = (tmp_path / "cache" / "weights").iterdir()
    assert hashlib.sha256(file.read_bytes()).hexdigest() == sha256
    for number in range(1, 8):
        same(tmp_path / f"out{number}", tmp_path / "out0")


@pytest.mark.parametrize("arguments", [RUN, PROBE], ids=["packs-full", "packs-and-features-probe"])
def test_runs_that_share_a_cold_cache_end_as_one_alone(
    launch: Launcher, tmp_path: Path, arguments: list[str]
) -> None:
    alone = launch(tmp_path, *arguments, environment={"ZOO_CACHE": str(tmp_path / "other")})
    assert alone.wait().code == 0
    runs = [
        launch(tmp_path, *(one if one != "out" else f"out{number}" for one in arguments))
        for number in range(3)
    ]
    assert [run.wait().code for run in runs] == [0] * 3
    for number in range(3):
        same(tmp_path / f"out{number}", tmp_path / "out")


#: each answer of a decoding child takes time
SLOW_PICTURES = """
import time
from zoo.data import ingest
note = ingest._note
ingest._note = lambda *given: (time.sleep(0.1), note(*given))[1]
"""


@pytest.mark.parametrize("arguments", [RUN, PROBE], ids=["full", "probe"])
def test_a_cache_that_is_cleared_under_a_run_changes_no_bit_of_it(
    launch: Launcher, tmp_path: Path, arguments: list[str]
) -> None:
    alone = launch(tmp_path, *arguments, environment={"ZOO_CACHE": str(tmp_path / "other")})
    assert alone.wait().code == 0
    named = [one if one != "out" else "again" for one in arguments]
    run = launch(tmp_path, *named, code=SLOW_PICTURES)
    run.until(lambda: list((tmp_path / "cache").glob("pictures/*/rows.u8")))
    cleared = [launch(tmp_path, "data", "cache", "--clear").wait() for _ in range(40)]
    assert run.wait().code == 0
    assert {one.code for one in cleared} == {0}
    assert "in use, left alone: pictures/" in cleared[0].err
    same(tmp_path / "again", tmp_path / "out")


def test_runs_that_are_killed_while_decoding_leave_no_room_behind(
    launch: Launcher, tmp_path: Path
) -> None:
    code = f"{SLOW_PICTURES}ingest.KEEP_SECONDS = 0.3"
    sizes = []
    for _ in range(4):
        run = launch(tmp_path, *RUN, code=code)
        run.until(lambda: list((tmp_path / "cache").glob("pictures/*/index.jsonl")))
        time.sleep(0.2)
        run.send(signal.SIGKILL)
        assert run.wait().code == -signal.SIGKILL
        files = (tmp_path / "cache").glob("pictures/*/rows.u8")
        sizes.append(sum(file.stat().st_size for file in files))
        shutil.rmtree(tmp_path / "out")
    assert launch(tmp_path, *RUN).wait().code == 0
    assert len({*sizes}) == 1


def flip(file: Path) -> None:
    """Damage a file at both ends and in its middle."""
    data = bytearray(file.read_bytes())
    for place in (0, len(data) // 2, len(data) - 1):
        data[place] ^= 0xFF
    file.write_bytes(data)


def halve(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def empty(file: Path) -> None:
    os.truncate(file, 0)


@pytest.mark.parametrize("damage", [flip, halve, empty, Path.unlink])
@pytest.mark.parametrize(
    "kind", ["pictures/*/rows.u8", "pictures/*/index.jsonl", "features/*/shard-*", "hashes/*.jsonl"]
)
def test_damage_in_the_cache_costs_work_and_changes_no_bit(
    launch: Launcher, tmp_path: Path, kind: str, damage: Callable[[Path], None]
) -> None:
    code = "from zoo.data import hashes; hashes.UNSETTLED_NS = 0"  # the pictures here are young
    assert launch(tmp_path, *PROBE, code=code).wait().code == 0
    found = [file for file in (tmp_path / "cache").glob(kind) if file.stat().st_size]
    assert found
    for file in found:
        damage(file)
    again = [one if one != "out" else "again" for one in PROBE]
    ended = launch(tmp_path, *again, code=code).wait()
    assert ended.code == 0, ended.err
    same(tmp_path / "again", tmp_path / "out")
    assert read(tmp_path / "again" / "exit.json")["status"] == "finished"
