# ruff: noqa: INP001 - a script, not a module of a package
"""Draws terminal.svg, the README's picture: real commands on a real (pseudo) terminal.

::

    uv run python docs/picture.py
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import shutil
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

from zoo.data.demo import demo_folder

COLUMNS = 120
PICTURE = Path(__file__).with_name("terminal.svg")
#: what a terminal does with them: up a line, erase this line
UP, ERASE = "\x1b[1A", "\x1b[2K"
CONTROLS = re.compile(r"(\x1b\[1A|\x1b\[2K|\x1b\[\?25[lh]|\r|\n)")
#: an image in a page may load nothing, so the picture names no font of the web
FONT_FACE = re.compile(r"@font-face \{.*?\}", re.DOTALL)


def typed(command: str) -> str:
    """What a terminal receives from a command, byte by byte.

    Raises:
        SystemExit: it failed, or there is no such command: no picture of that.
    """
    program, *arguments = shlex.split(command)
    if shutil.which(program) is None:
        raise SystemExit(f"There is no {program}; try: uv run python docs/picture.py")
    said: list[bytes] = []

    def keep(terminal: int) -> bytes:
        said.append(os.read(terminal, 65_536))
        return said[-1]

    # The copy that `spawn` makes of it on our own output is welcome as progress.
    if pty.spawn([program, *arguments], keep):
        raise SystemExit(f"It failed: {command}")
    return b"".join(said).decode()


def screen(received: str) -> list[str]:
    """The lines that stand there in the end, colours kept; bars that moved are drawn once."""
    lines, row = [""], 0
    for part in CONTROLS.split(received):
        if part == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif part == UP:
            row -= 1
        elif part == ERASE:
            lines[row] = ""
        elif not CONTROLS.fullmatch(part):
            lines[row] += part
    return lines[:-1]  # the last line feed has begun a line that nothing stands in


def main() -> None:
    """Run the commands in an empty folder and draw what a reader would see."""
    os.environ |= {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    shown = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as own:
        # A first run is shown: nothing is in the cache yet.
        os.environ |= {"ZOO_CACHE": f"{own}/cache", "ZOO_CONFIG": f"{own}/config"}
        os.chdir(folder)
        Path("new").symlink_to(demo_folder())
        for command in (
            "zoo run demo",
            "zoo predict runs/demo-1 new/fish/07.jpg new/house/21.jpg new/tree/39.jpg",
        ):
            shown.print(Text(f"$ {command}", style="bold"))
            for line in screen(typed(command)):
                shown.print(Text.from_ansi(line))
        os.chdir("/")
    drawn = shown.export_svg(title="zoo", unique_id="zoo")
    PICTURE.write_text(FONT_FACE.sub("", drawn), "utf-8")


if __name__ == "__main__":
    main()
