from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.cli import main, streams

NOWHERE = Path("/dev/full")


def test_what_is_written_arrives_while_the_stream_lasts() -> None:
    under = io.StringIO()
    stream = streams.Expendable(under)
    assert stream.write("one\n") == 4
    stream.flush()
    assert under.getvalue() == "one\n"
    assert not stream.isatty()


class Broken(io.StringIO):
    """A pipe whose reader has gone."""

    tried = 0

    def write(self, text: str) -> int:
        del text
        self.tried += 1
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    def flush(self) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_what_cannot_be_written_is_swallowed() -> None:
    under = Broken()
    stream = streams.Expendable(under)
    assert stream.write("one") == 3
    stream.flush()
    assert under.tried == 1


@pytest.mark.skipif(not NOWHERE.exists(), reason="needs /dev/full")
def test_a_stream_that_was_lost_leads_nowhere_from_then_on() -> None:
    with NOWHERE.open("w") as under:
        stream = streams.Expendable(under)
        stream.write("one")
        stream.flush()
        assert Path(f"/proc/self/fd/{under.fileno()}").readlink() == Path(os.devnull)


def test_the_streams_of_a_caller_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = sys.stdout, sys.stderr
    with pytest.raises(SystemExit) as ended:
        main(["wy"])
    assert ended.value.code == 2
    assert (sys.stdout, sys.stderr) == (out, err)
    assert "There is no command 'wy'" in capsys.readouterr().err


def test_a_closed_stream_does_not_give_its_number_to_a_file() -> None:
    program = (
        "import os, sys\n"
        "from zoo.cli.streams import standing\n"
        "with standing(), open(os.devnull) as file:\n"
        "    print('lost')\n"
        "    print('lost', file=sys.stderr)\n"
        "    sys.exit(40 + file.fileno())"
    )
    command = f'exec "{sys.executable}" -c "$0" <&- >&- 2>&-'
    ran = subprocess.run(["sh", "-c", command, program], check=False)
    assert 43 <= ran.returncode < 60  # a number of its own
