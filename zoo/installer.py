"""Who installed what is here, and so what to type to add, upgrade or remove a distribution.

An environment of `uv tool` or pipx is rebuilt from a receipt, and what was put into it in another
way is lost with the next upgrade of zoo: only its own tool may change it. Elsewhere the file
INSTALLER beside a distribution's metadata says who put it there.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: the distribution that holds zoo itself
HOST = "zoo-registry"
Tool = Literal["uv tool", "pipx", "conda", "uv", "pip"]
#: arguments of a command
Command = tuple[str, ...]


class Installer(NamedTuple):
    """The program that changes this environment, and how it is told to.

    Args:
        tool: which one.
        target: the words that make it change this environment and no other.
        held: `uv tool` alone: what its receipt says is installed, (name, words of a command) each.
        python: the words that start this environment's interpreter.
    """

    tool: Tool
    target: Command = ()
    held: tuple[tuple[str, Command], ...] = ()
    python: Command = ("python",)

    def install(self, wanted: Sequence[str]) -> Command:
        """The command that installs requirements (`zoo-acme`, `zoo-acme>=2`, `./zoo-acme`)."""
        if self.tool == "uv tool":
            more: dict[str, Command] = {_name(one): ("--with", one) for one in wanted}
            return self._rebuilt(dict(self.held) | more)
        verb = {"pipx": "inject", "uv": "install", "pip": "install", "conda": "install"}[self.tool]
        return self._told(verb, wanted)

    def install_file(self, file: str) -> Command:
        """The command that installs what a file of requirements lists."""
        if self.tool == "uv tool":
            return self._rebuilt({**dict(self.held), file: ("--with-requirements", file)})
        flag = "--file" if self.tool == "conda" else "-r"
        return self._told("inject" if self.tool == "pipx" else "install", [flag, file])

    def develop(self, folder: str, tester: str) -> tuple[Command, ...]:
        """The commands that install a package's source folder to be worked on, and its tester.

        Args:
            folder: of the package, as it is typed.
            tester: a requirement: what runs its tests.
        """
        if self.tool == "uv tool":
            more: dict[str, Command] = {folder: ("--with-editable", folder)}
            more[_name(tester)] = ("--with", tester)
            return (self._rebuilt(dict(self.held) | more),)
        if self.tool == "pipx":  # which takes no folder beside a name as editable
            inject = ("pipx", "inject", *self.target)
            return ((*inject, "--editable", folder), (*inject, tester))
        if self.tool == "conda":  # which installs no folder
            return ((*self.python, "-m", "pip", "install", "--editable", folder, tester),)
        return (self._told("install", ["--editable", folder, tester]),)

    def upgrade(self, name: str) -> Command:
        """The command that brings the newest version of an installed distribution."""
        if self.tool == "uv tool":
            return ("uv", "tool", "upgrade", HOST)
        if self.tool == "pipx" and name == HOST:
            return ("pipx", "upgrade", *self.target)
        if self.tool == "pipx":
            return ("pipx", "runpip", *self.target, "install", "--upgrade", name)
        verb = "update" if self.tool == "conda" else "install"
        return self._told(verb, [name] if verb == "update" else ["--upgrade", name])

    def remove(self, names: Sequence[str]) -> Command:
        """The command that removes distributions."""
        if self.tool == "uv tool":
            return self._rebuilt({name: one for name, one in self.held if name not in names})
        verb = {"pipx": "uninject", "conda": "remove"}.get(self.tool, "uninstall")
        return self._told(verb, [*(["--yes"] if self.tool == "pip" else []), *names])

    def _told(self, verb: str, words: Sequence[str]) -> Command:
        if self.tool == "pip":
            return (*self.python, "-m", "pip", verb, *words)
        program = ("uv", "pip") if self.tool == "uv" else (self.tool,)
        return (*program, verb, *self.target, *words)

    def _rebuilt(self, held: Mapping[str, Command]) -> Command:
        """`uv tool` takes the whole set, and makes the environment what it says."""
        words = (word for one in held.values() for word in one)
        return ("uv", "tool", "install", *self.target, *words)


def in_use(
    distribution: str = HOST,
    *,
    prefix: str = sys.prefix,
    python: str = sys.executable,
    environment: Mapping[str, str] = os.environ,
    read: Callable[[str], str] | None = None,
) -> Installer:
    """Who must be told to change this environment, as far as a distribution is concerned.

    Args:
        distribution: whose; one that is not here is installed as zoo itself was.
        prefix: the folder of the environment.
        python: its interpreter.
        environment: the variables of the process.
        read: what gives the text of the file INSTALLER of a distribution, empty without one.
    """
    file = f"{prefix}/uv-receipt.toml"
    if os.path.exists(file):  # noqa: PTH110 - as text, like all here
        from zoo import receipt

        noted = receipt.read(file, HOST)
        return Installer("uv tool", (*noted.target, *noted.options), noted.held, (python,))
    piped = _main_package(f"{prefix}/pipx_metadata.json")
    if piped:
        return Installer("pipx", (piped,), python=(python,))
    read = read or _installer_file
    by = (read(distribution) or read(HOST)).strip()
    if by == "conda" and os.path.isdir(f"{prefix}/conda-meta"):  # noqa: PTH112 - as text, like all here
        return Installer("conda", ("--prefix", prefix), python=(python,))
    active = environment.get("VIRTUAL_ENV", "")
    here = bool(active) and os.path.realpath(active) == os.path.realpath(prefix)
    starts = ("python" if here else python,)
    if by == "uv" or (by != "pip" and _made_by_uv(prefix)):
        return Installer("uv", () if here else ("--python", python), python=starts)
    return Installer("pip", python=starts)


def line(command: Command) -> str:
    """A command as it is typed."""
    return shlex.join(command)


def to_install(*wanted: str) -> str:
    """The line that installs requirements here."""
    return line(in_use().install(wanted))


def to_upgrade(distribution: str) -> str:
    """The line that upgrades a distribution here."""
    return line(in_use(distribution).upgrade(distribution))


def to_remove(*distributions: str) -> str:
    """The line that removes distributions here; who installed the first of them decides."""
    return line(in_use(distributions[0]).remove(distributions))


# --- what the tools left behind ---


def _name(wanted: str) -> str:
    """The name in a requirement, as receipts have it; a path is its own."""
    named = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*(?=$|[\s\[<>=!~;@])", wanted)
    return re.sub(r"[-_.]+", "-", named[0]).lower() if named else wanted


def _main_package(file: str) -> str:
    """The package that a pipx environment was made for; empty where it is none."""
    try:
        with open(file, encoding="utf-8") as stream:  # noqa: PTH123 - as text, like all here
            noted = json.load(stream)
        return str(noted["main_package"]["package"] or HOST)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError):
        return HOST


def _installer_file(distribution: str) -> str:
    from importlib import metadata

    try:
        return metadata.distribution(distribution).read_text("INSTALLER") or ""
    except (metadata.PackageNotFoundError, OSError, ValueError):
        return ""


def _made_by_uv(prefix: str) -> bool:
    """Whether `uv venv` made the environment: pip need not be in it."""
    try:
        with open(f"{prefix}/pyvenv.cfg", encoding="utf-8") as stream:  # noqa: PTH123 - as text, like all here
            return any(key.partition("=")[0].strip() == "uv" for key in stream)
    except OSError:
        return False
