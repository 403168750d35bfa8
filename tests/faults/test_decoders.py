"""Group A of the fault matrix, second part: files that change or are none, decoders that die."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from zoo import corridor
from zoo.data import ingest, pool

from . import corpus
from .conftest import RUN, read, refused, refused_then_skipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Zoo

    Children = Callable[[str], None]

PNG = corpus.saved(corpus.picture(), "PNG")


@pytest.fixture
def new(zoo: Zoo, images: Path) -> Path:
    """A run `out`, and a folder for files to ask it about."""
    del images
    assert zoo(*RUN).code == 0
    Path("new").mkdir()
    return Path("new")


def meanwhile(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[], object], *, after: bool
) -> None:
    """Change the data after they were listed and hashed, before or after they are decoded."""
    decode = corridor.ingested

    def ingested(*given: Any) -> Any:  # noqa: ANN401 - passed on
        if not after:
            change()
        found = decode(*given)
        if after:
            change()
        return found

    monkeypatch.setattr(corridor, "ingested", ingested)


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "A11-deleted": (lambda path: path.unlink(), "no such file"),
    "A11-replaced": (lambda path: shutil.copy("images/bee/0.png", path), "it changed"),
    "A11-truncated": (lambda path: os.truncate(path, 99), "it changed"),
}


@pytest.mark.parametrize(("change", "reason"), CHANGES.values(), ids=CHANGES)
def test_an_image_that_changes_before_it_is_decoded_is_no_other_image(
    zoo: Zoo, images: Path, monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], object], reason: str,
) -> None:  # fmt: skip
    original = (images / "ant" / "0.png").read_bytes()
    meanwhile(monkeypatch, lambda: change(images / "ant" / "0.png"), after=False)
    ended = zoo.changing(*RUN)
    assert ended.code == 65
    assert "images/ant/0.png: " in ended.err
    assert reason in ended.err
    assert not Path("out").exists()
    (images / "ant" / "0.png").write_bytes(original)
    ended = zoo.changing(*RUN, "--bad-images", "skip")
    assert ended.code == 0
    assert len(read("split.json")["files"]) == 14


def test_a11_images_that_go_once_they_are_decoded_are_not_missed(
    zoo: Zoo, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert zoo(*RUN).code == 0
    unbroken = read("summary.json")
    shutil.rmtree("out")
    meanwhile(monkeypatch, lambda: shutil.rmtree(images), after=True)
    assert zoo.changing(*RUN).code == 0
    assert read("summary.json")["val"] == unbroken["val"]


def test_a12_an_image_without_read_permission(
    zoo: Zoo, images: Path, ordinary_user: object
) -> None:
    del ordinary_user
    shutil.copy(images / "ant/0.png", images / "ant/x.png")
    (images / "ant/x.png").chmod(0)
    refused_then_skipped(zoo, "ant/x.png", reason="no permission to read it")


def test_a12_a_folder_without_read_permission(
    zoo: Zoo, images: Path, ordinary_user: object
) -> None:
    del ordinary_user
    (images / "bee").chmod(0)
    ended = zoo.changing(*RUN)
    (images / "bee").chmod(0o755)
    assert ended.code == 74
    assert "images/bee" in ended.err
    assert not Path("out").exists()


def test_a12_links_into_a_folder_without_permission(
    zoo: Zoo, images: Path, ordinary_user: object
) -> None:
    del ordinary_user
    Path("locked").mkdir()
    shutil.copy(images / "ant/0.png", "locked/x.png")
    (images / "ant/x.png").symlink_to(Path("locked/x.png").resolve())
    (images / "readme").symlink_to(Path("locked/readme").resolve())
    Path("table.csv").write_text("path,label\nimages/ant/x.png,a\nimages/bee/0.png,b\n")
    Path("locked").chmod(0)
    try:
        refused(zoo(*RUN, "--data", "table.csv"), 65, "ant/x.png: no permission to read it")
        refused(zoo(*RUN, "--data", "locked/x/y"), 66, "is not there", "nearest folder")
        refused_then_skipped(zoo, "ant/x.png", reason="no permission to read it")
    finally:
        Path("locked").chmod(0o755)


@pytest.mark.skipif(os.name != "posix", reason="pipes, sockets and devices with names")
def test_a12_pipes_sockets_and_devices_are_never_opened(zoo: Zoo, images: Path) -> None:
    os.mkfifo(images / "ant" / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("images/ant/socket.jpg")
        (images / "ant" / "zero.jpg").symlink_to("/dev/zero")
        refused_then_skipped(
            zoo, "ant/pipe.jpg", "ant/socket.jpg", "ant/zero.jpg", reason="not a regular file",
            options=("--set", "links=follow"),
        )  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a14_a_decoder_that_crashes_costs_the_file_that_it_held(
    zoo: Zoo, images: Path, children: Children, number: signal.Signals
) -> None:
    children(f"""
import os
read = worker.read
def crashing(path):
    if path.name == "x.png":
        os.kill(os.getpid(), {number.value})
    return read(path)
worker.read = crashing
""")
    (images / "ant/x.png").write_bytes(PNG)
    refused_then_skipped(zoo, "ant/x.png", reason=f"kills the decoder ({number.name})")
    assert not [path for path in Path().iterdir() if path.name.startswith("core")]


def test_a14_a_decoder_that_hangs_costs_the_file_that_it_held(
    zoo: Zoo, images: Path, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    children("""
import time
read = worker.read
def hanging(path):
    if path.name == "x.png":
        time.sleep(60)
    return read(path)
worker.read = hanging
""")
    monkeypatch.setattr(ingest, "in_children", partial(pool.in_children, patience=1.0))
    (images / "ant/x.png").write_bytes(PNG)
    refused_then_skipped(zoo, "ant/x.png", reason="takes too long")


def test_a14_a_decoder_does_not_see_the_users_secrets(
    zoo: Zoo, images: Path, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    del images
    names = ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "SSH_AUTH_SOCK", "UV_INDEX_URL")
    for name in names:
        monkeypatch.setenv(name, "secret")
    children("import os, pathlib\npathlib.Path('seen').write_text(str(dict(os.environ)))")
    assert zoo(*RUN).code == 0
    seen = Path("seen").read_text()
    assert "PYTHONPATH" in seen
    assert "secret" not in seen


def test_a14_predict_survives_a_decoder_that_crashes(
    zoo: Zoo, new: Path, children: Children
) -> None:
    children("import os\nworker.read = lambda path: os._exit(3)")
    (new / "x.png").write_bytes(PNG)
    ended = zoo("predict", "out", new / "x.png")
    assert ended.code == 65
    assert "x.png: decoding it kills the decoder (exit code 3)" in ended.err


def lives(process: Path) -> bool:
    """Whether a process of /proc is more than a name that nobody has asked after."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of it")
def test_a14_a_child_does_not_outlive_a_parent_that_was_killed(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        "from zoo.data.worker import _end_with_parent\n"
        "if len(sys.argv) > 1:\n"
        "    _end_with_parent()\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "child = subprocess.Popen([sys.executable, __file__, 'child'], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    (tmp_path / "script.py").write_text(code)
    with subprocess.Popen(
        [sys.executable, tmp_path / "script.py"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as parent:
        assert parent.stdout is not None
        child = Path(f"/proc/{int(parent.stdout.readline())}")
        assert child.exists()
        parent.kill()
    deadline = time.monotonic() + 10
    while lives(child):
        assert time.monotonic() < deadline, "it lives on"
        time.sleep(0.01)
