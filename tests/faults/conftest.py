"""What the tests of the fault matrix share: the command line on three classes of tiny pictures."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from zoo.cli import main
from zoo.data import ingest, pool

from .processes import launch, unharmed, whole  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: a short probe of the tiny backbone on ./images
RUN = (
    *("run", "tiny/net+linear+cekl", "--data", "images", "--out", "out", "--weights", "none"),
    *("--device", "cpu", "--train", "probe", "--epochs", "2"),
)


def tree(folder: Path) -> dict[str, tuple[object, ...]]:
    """Every name below a folder with its mode, time and bytes; {} where there is no folder."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = _hash(path)
        else:
            content = ""
        found[os.fsdecode(path)] = (status.st_mode, status.st_mtime_ns, content)
    return found


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except PermissionError:
        return "unreadable"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: object
    out: str
    err: str


class Zoo:
    """The command line, in this process.

    Whatever it is asked, it must leave the images as they were, and show no traceback.
    """

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> Ended:
        before = tree(Path("images"))
        ended = self.changing(*arguments)
        assert tree(Path("images")) == before
        return ended

    def changing(self, *arguments: object) -> Ended:
        """The same for tests that change the images meanwhile."""
        with pytest.raises(SystemExit) as caught:
            main([*map(str, arguments)])
        out, err = self._capsys.readouterr()
        assert "Traceback" not in err
        return Ended(caught.value.code, out, err)


def read(name: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads(Path("out", name).read_text())


def refused_then_skipped(
    zoo: Zoo, *bad: str, reason: str = "", options: tuple[str, ...] = ()
) -> None:
    """The policy for bad files: all of them named and nothing left, or all of them left out."""
    ended = zoo(*RUN, *options)
    assert ended.code == 65
    assert f"{len(bad)} of the images cannot be read:" in ended.err
    assert all(f"images/{name}: " in ended.err for name in bad)
    assert reason in ended.err
    assert "--bad-images skip" in ended.err
    assert not Path("out").exists()
    ended = zoo(*RUN, *options, "--bad-images", "skip")
    assert ended.code == 0
    assert f"images that cannot be read and are skipped, {len(bad)} in all:" in ended.err
    assert all(f"images/{name}: " in ended.err for name in bad)
    assert not {one["name"] for one in read("split.json")["files"]} & set(bad)
    summary = read("summary.json")
    skipped = {one["name"]: one["reason"] for one in read("split.json")["skipped"]}
    assert set(skipped) == set(bad)
    assert all(reason in why for why in skipped.values())
    assert any(f"skipped: {bad[0]} (" in line for line in summary["data"])
    assert sum(summary["train"]["images"]) + summary["val"]["n"] == 15


def refused(ended: Ended, code: int, *words: str) -> None:
    """Refused with these words, and nothing is left behind."""
    assert ended.code == code, ended.err
    assert ended.out == ""
    for word in words:
        assert word in ended.err
    assert not Path("out").exists()


def fill(folder: str, *sources: str) -> None:
    """Copies of some of the pictures in a folder below ./images."""
    Path("images", folder).mkdir(parents=True, exist_ok=True)
    for source in sources:
        shutil.copy(Path("images", source), Path("images", folder, source.replace("/", "-")))


@pytest.fixture
def zoo(capsys: pytest.CaptureFixture[str], tiny: object) -> Zoo:
    del tiny
    return Zoo(capsys)


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch, tiny: object) -> Callable[[str], None]:
    """Decode in child processes, as outside of tests; `children(code)` lets each run code first."""
    del tiny
    start = subprocess.Popen

    def install(code: str) -> None:
        def patched(command: list[str], **options: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401 - passed on
            assert command[1:] == ["-P", "-m", "zoo.data.worker"]
            program = f"import zoo.data.worker as worker\n{code}\nworker.main()"
            return start([command[0], "-P", "-c", program], **options)

        monkeypatch.setattr(ingest, "in_children", pool.in_children)
        monkeypatch.setattr(pool.subprocess, "Popen", patched)

    return install


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Word(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """File modes are obeyed; root, whom they do not bind, gives that right up meanwhile."""
    if os.name == "posix" and os.geteuid() != 0:
        yield
        return
    if not sys.platform.startswith("linux"):
        pytest.skip("root obeys file modes only on Linux, by giving up capabilities")
    libc = ctypes.CDLL(None, use_errno=True)
    header = _Header(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    words = (_Word * 2)()
    assert libc.capget(ctypes.byref(header), words) == 0
    before = words[0].effective
    words[0].effective &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(ctypes.byref(header), words) == 0
    yield
    words[0].effective = before
    assert libc.capset(ctypes.byref(header), words) == 0
