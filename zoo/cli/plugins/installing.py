"""The installer in use, told to do something: its command is shown first."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from zoo import installer
from zoo.cli import console
from zoo.errors import Unavailable

if TYPE_CHECKING:
    from zoo.installer import Command

#: what uv, pip, pipx and conda say where no index answers
_OFFLINE = (
    "error sending request",
    "failed to fetch",
    "dns error",
    "temporary failure in name resolution",
    "name or service not known",
    "newconnectionerror",
    "connection refused",
    "network is unreachable",
    "network was disabled",
    "network connectivity is disabled",
    "tcp connect error",
    "could not connect",
    "condahttperror",
    "because you are offline",
)


def carry_out(command: Command) -> None:
    """Show a command, run it, and pass on what it says, to standard error.

    Raises:
        Unavailable: there is no such program, or it fails; where it says that no package index
            answers, that is told.
    """
    console.note(f"$ {installer.line(command)}")
    program = shutil.which(command[0])
    if program is None:
        raise Unavailable(
            f"There is no program {command[0]} on the PATH.",
            hint=f"Install it, or type yourself: {installer.line(command)}",
        )
    heard: list[str] = []
    with (
        subprocess.Popen(  # noqa: S603 - the user asked for it
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as running
    ):
        assert running.stdout is not None  # noqa: S101 - for the type checker
        for line in running.stdout:
            console.note(line.rstrip("\n"))
            heard.append(line.lower())
    if running.returncode == 0:
        return
    if any(sign in line for line in heard for sign in _OFFLINE):
        raise Unavailable(
            "No package index answers: this machine seems to be offline.",
            hint="Nothing was changed. Try again when it is online, or name a folder or a wheel.",
        )
    raise Unavailable(
        f"{command[0]} ended with exit code {running.returncode}.",
        hint="Its own words above say why.",
    )
