"""Commands of zoo as processes of their own, without the seconds that importing torch takes.

One helper process imports everything once and forks for each command; the fork runs the real
command line on the tiny catalog and ends as an interpreter ends. Code given with a command runs in
it first: it is how a test lets a signal arrive, or a resource end, at one exact place.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).parents[2]
#: a variable that decoding children inherit, by which they are found
MARK = "PYTHON_ZOO_CASE"
#: the whole network of the tiny backbone, two steps an epoch
RUN = (
    *("run", "tiny/net+linear+cekl", "--data", "images", "--out", "out", "--weights", "none"),
    *("--device", "cpu", "--train", "full", "--epochs", "4", "--batch-size", "6"),
)
#: `at(module, name, n, act)`: act in the n-th call of a function, before it does its work
AT = """
import os, signal, time
from importlib import import_module
def at(module, name, n, act, often=False):
    module = import_module(module)
    real, calls = getattr(module, name), 0
    def wrapped(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == n or often and calls > n:
            act()
        return real(*args, **kwargs)
    setattr(module, name, wrapped)
def me(*signals):
    return lambda: [os.kill(os.getpid(), number) for number in signals]
"""
#: the tiny backbone's weights come from `url`
FROM = """
import zoo
from tests import conftest
from zoo import corridor, draft, index, inference
weights = zoo.Weights(tag="v1", default=True, source="{url}", sha256="{sha256}",
                      preprocess=zoo.Preprocess(size=(32, 32), resize=(36, 36)))
catalog = conftest.tiny_catalog(weights=(weights,))
for room in (corridor, draft, index, inference):
    room.catalog = lambda: catalog
"""
NO_PROXY: dict[str, str | None] = dict.fromkeys(
    ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
)
#: each step takes time
SLOW_STEPS = """
import time
from zoo.training import fit
step = fit._step
fit._step = lambda *given: (time.sleep(0.05), step(*given))[1]
"""
#: within what a command must have heeded a signal or a limit, seconds
SOON = 30.0
#: nothing here takes so long, seconds
PATIENCE = 40.0


def serve() -> None:
    """Fork for each request on standard input; see `Launcher`."""
    import torch

    from tests.conftest import _install, tiny_catalog

    torch.set_num_threads(1)
    _install(pytest.MonkeyPatch(), tiny_catalog())
    _warm_up()
    gc.freeze()
    replies = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            print(json.dumps(_waited(request["wait"], request["seconds"])), file=replies)
            replies.flush()
            continue
        pid = os.fork()
        if not pid:
            replies.close()
            os.setsid()
            _become(request)
            _end(lambda request=request: _carry_out(request))
        print(json.dumps(pid), file=replies)
        replies.flush()
    _end(lambda: None)


def _carry_out(request: Mapping[str, Any]) -> None:
    """A request's code, then its command."""
    from zoo.cli import main

    exec(request["code"], {})  # noqa: S102 - a test's own
    if request["arguments"] is not None:
        main(request["arguments"])


def _end(work: Callable[[], None]) -> NoReturn:
    """Do the work and exit as Python does, less the seconds of taking torch apart."""
    code: object = 0
    try:
        work()
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001 - told where a test looks
        traceback.print_exc()
        code = 1
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        code = 120  # Python's own for this
    os._exit(code if isinstance(code, int) else 0)


def _warm_up() -> None:
    """Train and ask once, so that whatever is imported on the way is in memory."""
    from tests.conftest import pictures
    from zoo.cli import main

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ["ZOO_CACHE"] = "cache"
        pictures(Path("images"))
        for arguments in (RUN, ("predict", "out", "images/ant/0.png"), ("show", "out")):
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
                contextlib.suppress(SystemExit),
            ):
                main([*arguments])


def _become(request: Mapping[str, Any]) -> None:
    """Take on a request's folder, environment and streams."""
    os.chdir(request["folder"])
    for name, value in request["environment"].items():
        os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
    for number, name in enumerate(("/dev/null", request["out"], request["err"])):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        opened = os.open(name, flags, 0o644)
        os.dup2(opened, number)
        os.close(opened)


def _waited(pid: int, seconds: float) -> int | None:
    """The exit code of a fork, negative for a signal; None if it has not ended by then."""
    until = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            return None
        time.sleep(0.005)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


class Process:
    """A command at work."""

    def __init__(self, launch: Launcher, pid: int, out: Path, err: Path, mark: str) -> None:
        self._launcher, self._out, self._err, self._mark = launch, out, err, mark
        self.pid = pid

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def said(self) -> str:
        """What it has written to standard error so far."""
        return self._err.read_text(errors="replace") if self._err.is_file() else ""

    def until(self, is_so: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Wait for something that it does, so long at most."""
        until = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < until, f"waited in vain:\n{self.said()}"
            time.sleep(0.005)

    def children(self) -> list[int]:
        """The processes that it started, and that have not ended, wherever they hang now."""
        return [
            int(folder.name)
            for folder in Path("/proc").iterdir()
            if folder.name.isdigit() and self._is_child(folder)
        ]

    def wait(self, seconds: float = PATIENCE) -> Ended:
        """How it ends, within so many seconds."""
        code = self._launcher.ask({"wait": self.pid, "seconds": seconds})
        if code is None:
            self.send(signal.SIGKILL)
            self._launcher.ask({"wait": self.pid, "seconds": PATIENCE})
            raise AssertionError(f"still at work after {seconds} s:\n{self.said()}")
        said = self.said()
        assert "Traceback" not in said, said
        out = self._out.read_text(errors="replace") if self._out.is_file() else ""
        return Ended(code, out, said)

    def _is_child(self, folder: Path) -> bool:
        with contextlib.suppress(OSError):
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            mark = f"{MARK}={self._mark}".encode()
            return state != "Z" and mark in (folder / "environ").read_bytes().split(b"\0")
        return False


class Launcher:
    """Starts commands; `with started() as launch: launch(folder, "run", ...)`."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-c", "from tests.faults.processes import serve; serve()"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def __call__(
        self,
        folder: Path,
        *arguments: object,
        code: str = "",
        only_code: bool = False,
        out: str | Path | None = None,
        err: str | Path | None = None,
        environment: Mapping[str, str | None] | None = None,
    ) -> Process:
        """Start a command.

        Args:
            folder: its working directory; its cache is `cache` in there.
            arguments: of the command line.
            code: runs first.
            only_code: run nothing else.
            out: where its standard output goes; a file in `folder` when None.
            err: where its standard error goes; likewise.
            environment: changes of it; None takes a variable away.
        """
        mark = uuid.uuid4().hex
        streams = Path(out or folder / f"{mark}.out"), Path(err or folder / f"{mark}.err")
        request = {
            "folder": str(folder),
            "arguments": None if only_code else [*map(str, arguments)],
            "environment": {"ZOO_CACHE": str(folder / "cache"), MARK: mark, **(environment or {})},
            "code": code,
            "out": str(streams[0]),
            "err": str(streams[1]),
        }
        return Process(self, self.ask(request), *streams, mark)

    def ask(self, request: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Send the helper a request, and return its answer."""
        stdin, stdout = self._server.stdin, self._server.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        return json.loads(stdout.readline())

    def close(self) -> None:
        """End the helper."""
        self._server.communicate()


@pytest.fixture(scope="session")
def launch() -> Iterator[Launcher]:
    """Starts commands as processes of their own."""
    found = Launcher()
    yield found
    found.close()


@pytest.fixture
def unharmed(images: Path) -> Iterator[None]:
    """Whatever happens to a run, its pictures stay as they are."""
    before = _tree(images)
    yield
    assert _tree(images) == before


def _tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.fixture(scope="session")
def whole(launch: Launcher, _images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "images").symlink_to(_images)
    assert launch(folder, *RUN).wait().code == 0
    return folder / "out"


def same(run: Path, other: Path) -> None:
    """Two runs came to the same end: model, figures and epochs, bit for bit."""
    for name in ("model/model.safetensors", "split.json", "classes.json"):
        assert (run / name).read_bytes() == (other / name).read_bytes()
    lasting = [
        [{**json.loads(line), "seconds": 0, "images_per_second": 0} for line in lines]
        for lines in ((one / "metrics.jsonl").read_text().splitlines() for one in (run, other))
    ]
    assert lasting[0] == lasting[1]
    assert read(run / "summary.json")["val"] == read(other / "summary.json")["val"]


def read(file: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(file.read_text())
    return found


def goes_on(launch: Launcher, folder: Path, whole: Path) -> None:
    """`zoo resume` comes to the end of the run that nothing disturbed, and leaves no crumbs."""
    ended = launch(folder, "resume", "out").wait()
    assert ended.code == 0, ended.err
    same(folder / "out", whole)
    assert read(folder / "out" / "exit.json")["status"] == "finished"
    assert not list((folder / "out").rglob(".*"))
