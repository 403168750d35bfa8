"""`zoo plugins`: what is installed, and the commands that make, check and change it."""

from __future__ import annotations

import click

from zoo.cli import Lazy
from zoo.errors import UsageError

#: command → its one line of help; each lives in `zoo.cli.plugins.<command>` as `command`
COMMANDS = {
    "freeze": "Print what recreates the set of installed plugins.",
    "new": "Write a package that offers a backbone, a head or a loss.",
    "check": "Hold plugins to the contract, check by check.",
    "add": "Install plugins, by the installer in use.",
    "remove": "Uninstall plugins, by the installer in use.",
    "disable": "Leave plugins out from now on, without uninstalling them.",
    "enable": "Let plugins in again.",
}


@click.group(
    "plugins",
    cls=Lazy,
    package="zoo.cli.plugins",
    table=COMMANDS,
    invoke_without_command=True,
)
@click.option("--json", "wants_json", is_flag=True, help="Write JSON.")
@click.option("--retry", is_flag=True, help="Ask quarantined plugins again.")
@click.option("--times", is_flag=True, help="Measure what importing each plugin costs.")
@click.pass_context
def command(context: click.Context, *, wants_json: bool, retry: bool, times: bool) -> None:
    """Show the installed plugins, what each brings, and why some are quarantined."""
    called = context.invoked_subcommand
    if called is None:
        _show(wants_json=wants_json, retry=retry, times=times)
    elif wants_json or retry or times:
        hint = f"Options of a command stand behind it: zoo plugins {called} --help"
        message = f"--json, --retry and --times here are of the table, not of {called}."
        raise UsageError(message, hint=hint)


def _show(*, wants_json: bool, retry: bool, times: bool) -> None:
    if times:
        from zoo.cli.plugins import times as measured

        measured.show(wants_json=wants_json)
    else:
        from zoo.cli.plugins import table

        table.show(wants_json=wants_json, retry=retry)
