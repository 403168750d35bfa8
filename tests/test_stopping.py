from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from zoo.errors import Stopped
from zoo.stopping import Stop, listening


def test_nobody_asked() -> None:
    Stop().check()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_an_errand_for_the_next_look(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    with listening() as stop:
        signal.raise_signal(number)
        with pytest.raises(Stopped, match=number.name) as caught:
            stop.check()
    assert caught.value.exit_code == code
    assert signal.getsignal(number) is before


def test_the_handlers_come_back_after_an_error() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), listening():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_is_never_asked() -> None:
    heard: list[Stop] = []

    def listen() -> None:
        with listening() as stop:
            stop.check()
            heard.append(stop)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert [stop.signal for stop in heard] == [None]


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_the_second_signal_ends_at_once(name: str, code: int) -> None:
    program = (
        "import signal\nfrom zoo.stopping import listening\n"
        "with listening() as stop:\n"
        "    stop.before_exit = lambda code: print('last', code, flush=True)\n"
        f"    signal.raise_signal(signal.{name})\n"
        f"    print('asked', flush=True)\n    signal.raise_signal(signal.{name})\n    print('late')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (code, f"asked\nlast {code}\n")
