"""A process that has zoo imported and one thread only, and forks a child for each command line.

Started once by the fixture `forks`; a child costs some milliseconds, and may be killed, limited or
lied to by its operating system without harm to pytest. Requests and answers are lines of JSON.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib.util
import io
import json
import os
import resource
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TESTS = Path(__file__).parents[1]
#: what a child's operating system can be made to fail at
CALLS = {
    "open": (io, "open"),
    "write": (os, "write"),
    "fsync": (os, "fsync"),
    "mkdir": (os, "mkdir"),
    "replace": (os, "replace"),
    "rename": (os, "rename"),
}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    _warm_up()
    gc.freeze()  # what is shared with the children stays shared
    threads = len([*Path("/proc/self/task").iterdir()])
    assert threads == 1, f"{threads} threads: it is not safe to fork"
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(_forked(json.loads(line))), file=answers, flush=True)


def _warm_up() -> None:
    """Import all that a run needs, by running one."""
    named = importlib.util.spec_from_file_location("shared_by_tests", TESTS / "conftest.py")
    assert named
    assert named.loader
    shared = importlib.util.module_from_spec(named)
    sys.modules["shared_by_tests"] = shared
    named.loader.exec_module(shared)
    shared._install(pytest.MonkeyPatch(), shared.tiny_catalog())  # noqa: SLF001 - by a script
    with tempfile.TemporaryDirectory() as folder, _silence():
        os.environ["ZOO_CACHE"] = f"{folder}/cache"
        data = shared.pictures(Path(folder, "data"), (4, 4))
        from zoo.cli import main as command_line

        with contextlib.suppress(SystemExit):
            command_line(
                [
                    *("run", shared.SPEC, f"--data={data}", "--weights=none", "--train=lpft"),
                    *("--epochs=1", "--set=probe.epochs=1", "--device=cpu", f"--out={folder}/run"),
                ]
            )
        assert Path(folder, "run", "summary.json").is_file()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stderr(nowhere),
        contextlib.redirect_stdout(nowhere),
    ):
        yield


def _forked(request: dict[str, Any]) -> dict[str, Any]:
    """Carry out a command line in a child; how that ended."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            _be_the_child(request, out.fileno(), err.fileno())
        _, status, used = os.wait4(child, 0)
        return {
            "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            "out": _read(out),
            "err": _read(err),
            "kilobytes": used.ru_maxrss,
        }


def _read(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode(errors="surrogateescape")


def _be_the_child(request: dict[str, Any], out: int, err: int) -> None:
    code = 1
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.chdir(request["cwd"])
        os.environ.update(request["env"])
        if (most := request.get("file_limit")) is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        if (user := request.get("user")) is not None:
            os.setgid(user)
            os.setuid(user)
        if request.get("fault"):
            fail(**request["fault"])
        from zoo.cli import main as command_line

        command_line(request["arguments"])
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def fail(call: str, below: str, at: int, kind: str, log: str = "", *, lasting: bool) -> None:
    """Let a call of the operating system fail where it concerns a folder.

    Args:
        call: see `CALLS`, or `any`.
        below: the folder; what lies outside of it is not touched.
        at: which of these calls fails, from 1.
        kind: an error's name (`ENOSPC`); `SHORT` for a write of half of what was asked.
        log: a file that gets a line for each call; empty for none.
        lasting: whether all calls after that one fail, too.
    """
    count, lock = 0, threading.Lock()

    def wrapped(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def called(what: Any, *more: Any, **options: Any) -> Any:  # noqa: ANN401 - any call
            nonlocal count
            if not _place(what).startswith(below) or (name == "open" and "r" in str(more[:1])):
                return real(what, *more, **options)
            with lock:
                count += 1
                mine = count
            if log:
                descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
                real_write(descriptor, f"{mine} {name} {_place(what)}\n".encode())
                os.close(descriptor)
            if mine == at or (lasting and mine > at):
                if kind == "SHORT":
                    return real(what, *(one[: len(one) // 2 + 1] for one in more))
                number = getattr(errno, kind)
                raise OSError(number, os.strerror(number))
            return real(what, *more, **options)

        return called

    real_write = os.write
    for name, (module, attribute) in CALLS.items():
        if call in (name, "any"):
            setattr(module, attribute, wrapped(name, getattr(module, attribute)))


def _place(what: object) -> str:
    """The path that a call's first argument, a descriptor or a path, is about."""
    with contextlib.suppress(OSError):
        if isinstance(what, int):
            return str(Path(f"/proc/self/fd/{what}").readlink())
        return os.path.abspath(os.fspath(what))  # type: ignore[call-overload,no-any-return] # noqa: PTH100
    return ""


if __name__ == "__main__":
    main()
