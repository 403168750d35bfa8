"""The command line: one group, its commands imported when they are called, one error boundary."""

from __future__ import annotations

import io
import os
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click

from zoo import errors, imports
from zoo.cli import streams
from zoo.cli.leaving import leave
from zoo.plugins import selection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

#: command → its one line of help; each lives in `zoo.cli.<command>` as `command`
COMMANDS = {
    "list": "List backbones, heads, losses and entries.",
    "show": "Show a component, an entry or a run.",
    "why": "Say which component a name means, and why.",
    "run": "Fine-tune backbone+head+loss on a folder of images.",
    "resume": "Go on with a run that was stopped.",
    "eval": "Measure a finished run on labelled images.",
    "predict": "Classify images with a finished run.",
    "bench": "Measure how fast a run would be, and what would hold it up.",
    "plugins": "Show the installed plugins; add, remove, disable, check or write one.",
    "prefer": "Say which component a shared name shall mean.",
    "data": "Show and clear what zoo keeps of images and weights.",
    "doctor": "Check versions, devices, caches and plugins.",
}


def selecting(*, hidden: bool = False) -> list[click.Parameter]:
    """The options that say which plugins may come in: before a command, and accepted behind it."""
    flag: dict[str, Any] = {"is_flag": True, "expose_value": False, "hidden": hidden}
    return [
        click.Option(
            ["--no-plugins"],
            callback=_heed(lambda _: selection.said(none=True)),
            help="Load no plugin at all.",
            **flag,
        ),
        click.Option(
            ["-p", "without"],
            callback=_heed(lambda names: selection.said(without=tuple(map(_named, names)))),
            multiple=True,
            metavar="no:NAME",
            help="Leave a plugin out; may be given more than once.",
            expose_value=False,
            hidden=hidden,
        ),
        click.Option(
            ["--strict-plugins"],
            callback=_heed(lambda _: selection.said(strict=True)),
            help="Fail where a plugin is quarantined.",
            **flag,
        ),
    ]


def _heed(
    said: Callable[[Any], AbstractContextManager[None]],
) -> Callable[[click.Context, click.Parameter, Any], None]:
    """A callback that lets what an option says hold until the command line ends."""

    def heed(context: click.Context, parameter: click.Parameter, value: Any) -> None:  # noqa: ANN401 - an option's
        del parameter
        if value:
            context.find_root().with_resource(said(value))

    return heed


def _named(text: str) -> str:
    """The name in `no:NAME`."""
    switch, _, name = text.partition(":")
    if switch != "no" or not name:
        raise errors.UsageError(f"-p {text} says nothing.", hint="Leave a plugin out: -p no:NAME")
    return name


class _ReaderGoneError(Exception):
    """A broken pipe, under a name that click does not make an exit code of its own."""


class Lazy(click.Group):
    """A group that knows its commands by name and imports the one that is called.

    Args:
        package: where the commands are: each is `command` in the module of its name.
        table: command → its one line of help.
    """

    def __init__(self, *, package: str, table: Mapping[str, str], **attributes: Any) -> None:  # noqa: ANN401 - click's own
        """Remember the table; nothing of the package is imported."""
        super().__init__(**attributes)
        self.package = package
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table, which is the order of use."""
        del ctx
        return [*self.table]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        del ctx
        if cmd_name not in self.table:
            return None
        command = import_module(f"{self.package}.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - for the type checker
        if not any(one.name == "no_plugins" for one in command.params):
            command.params += selecting(hidden=True)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing any of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([*self.table.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the near commands when there is no such one."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in self.table:
            from difflib import get_close_matches

            near = get_close_matches(name, self.table, n=3) or [*self.table]
            raise errors.UsageError(
                f"There is no command {name!r}.",
                hint=f"Try: {ctx.command_path} {' | '.join(near)}",
            )
        return super().resolve_command(ctx, args)


class _Outermost(Lazy):
    """The command `zoo` itself."""

    def invoke(self, ctx: click.Context) -> object:
        """Carry out the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGoneError from error


@click.group(
    cls=_Outermost,
    package="zoo.cli",
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    params=selecting(),
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(package_name="zoo-registry", prog_name="zoo")
def group(*, debug: bool) -> None:
    """Fine-tune any backbone + head + loss on your images.

    zoo run resnet18+linear+cekl --data ./imgs
    """
    if debug:
        os.environ["ZOO_DEBUG"] = "1"


def program() -> NoReturn:
    """The command `zoo`: the command line in a process that is its own."""
    imports.process_is_ours()
    try:
        main()
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            raise  # it is a text, which Python writes
        leave(ended.code or 0)


@streams.standing()
def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit; the only place that turns an error into an exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a locale may lack a letter of a name
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = group.main(args=arguments, prog_name="zoo", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as error:
        _say(_misused(error))
        sys.exit(2)
    except click.Abort:
        _say("Stopped.")
        sys.exit(errors.INTERRUPTED)
    except (BrokenPipeError, _ReaderGoneError):
        streams.silence(sys.stdout)  # the reader has gone
        sys.exit(0)
    except KeyboardInterrupt:
        _say("Stopped.")
        sys.exit(errors.INTERRUPTED)
    except errors.ZooError as error:
        _report(error)
        sys.exit(error.exit_code)
    except OSError as error:
        streams.silence(sys.stdout)  # which may be what cannot be written
        hint = "Free space, or look at the permissions; --debug shows where it happened."
        fault = errors.StorageFault(f"Reading or writing failed: {error}.", hint=hint)
        _report(fault)
        sys.exit(fault.exit_code)
    except Exception:  # noqa: BLE001 - the boundary: all else is a bug, said as one
        _say(traceback.format_exc())
        _say("This is a bug in zoo; the lines above say where.")
        sys.exit(errors.BUG)


def _misused(error: click.ClickException) -> str:
    """What click says of a command line, and how a setting is given that is no option."""
    shown = io.StringIO()
    error.show(file=shown)
    told = shown.getvalue().rstrip().expandtabs(4)  # click indents by tabs, which are no letters
    if isinstance(error, click.NoSuchOption) and error.ctx:
        from zoo.settings import SETTINGS

        name = error.option_name.lstrip("-").replace("-", "_")
        if name in SETTINGS and any(one.name == "sets" for one in error.ctx.command.params):
            told += f"\nIt is a setting: --set {name}=VALUE"
    return told


def _report(error: errors.ZooError) -> None:
    if os.environ.get("ZOO_DEBUG"):
        _say(traceback.format_exc())
    _say(f"error: {error.message}")
    if error.hint:
        _say(error.hint)


def _say(line: str) -> None:
    from zoo.cli.console import note

    note(line)
