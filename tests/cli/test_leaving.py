from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

BEGIN = """
import atexit, sys, threading, time
from zoo.cli.leaving import leave
"""


def ended(code: str, stdout: int | IO[str] = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BEGIN + code],
        check=False,
        text=True,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )


def test_whoever_wants_to_be_called_at_the_end_is_once_and_nothing_said_is_lost() -> None:
    found = ended(
        """
atexit.register(print, "called")
print("said", end=" ")
leave(3)
"""
    )
    assert (found.returncode, found.stdout, found.stderr) == (3, "said called\n", "")


def test_modules_are_not_taken_apart() -> None:
    found = ended(
        """
class Loud:
    def __del__(self):
        print("taken apart", flush=True)
sys.modules["loud"] = Loud()
leave(0)
"""
    )
    assert (found.returncode, found.stdout) == (0, "")


def test_a_thread_that_is_at_work_is_waited_for() -> None:
    found = ended(
        """
def work():
    waiting.wait()
    time.sleep(0.05)
    print("worked")
waiting = threading.Event()
threading.Thread(target=work).start()
waiting.set()
leave(4)
"""
    )
    assert (found.returncode, found.stdout) == (4, "worked\n")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_stream_that_was_closed_is_no_matter(stream: str) -> None:
    found = ended(f"sys.{stream} = None\nleave(5)")
    assert (found.returncode, found.stderr) == (5, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_what_cannot_be_written_is_said_as_python_says_it() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        found = ended("print('lost')\nleave(0)", stdout=full)
    assert found.returncode == 120  # Python's own
    assert "No space left" in found.stderr
