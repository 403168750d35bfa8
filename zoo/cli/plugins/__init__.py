"""`zoo plugins`: what is installed, and the commands that make, check and change it."""

from __future__ import annotations

import click

from zoo.cli import Lazy
from zoo.errors import UsageError

#: command → its one line of help; each lives in `zoo.cli.plugins.<command>` as `command`
COMMANDS = {
    "freeze": "Print what recreates the set of installed plugins.",
    "new": "Write a package that offers a backbone, a head or a loss.",
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
@click.pass_context
def command(context: click.Context, *, wants_json: bool, retry: bool) -> None:
    """Show the installed plugins, what each brings, and why some are quarantined."""
    called = context.invoked_subcommand
    if called is None:
        from zoo.cli.plugins import table

        table.show(wants_json=wants_json, retry=retry)
    elif wants_json or retry:
        hint = f"Options of a command stand behind it: zoo plugins {called} --help"
        raise UsageError(f"--json and --retry here are of the table, not of {called}.", hint=hint)
