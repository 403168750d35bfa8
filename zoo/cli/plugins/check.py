"""`zoo plugins check`: holds installed plugins, or a folder's, to the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zoo.cli import console
from zoo.errors import PluginFault, Unavailable, UsageError
from zoo.plugins.distributions import sources, unheeded
from zoo.testing import card
from zoo.testing.given import parsed
from zoo.testing.kit import LIMIT, examine
from zoo.testing.planned import LARGEST, SAMPLE

if TYPE_CHECKING:
    from zoo.testing.report import Report


@click.command()
@click.argument("plugin", required=False)
@click.option("--json", "wants_json", is_flag=True, help="Write JSON.")
@click.option("--sample", default=SAMPLE, metavar="N", help="Of more backbones, check N in full.")
@click.option("--largest", default=LARGEST, metavar="N", help="Parameters of the largest of these.")
@click.option("--limit", default=LIMIT, metavar="SECONDS", help="What one check may take.")
@click.option(
    "--without",
    "left_out",  # `without` is what `-p` gives to every command
    multiple=True,
    metavar="CHECK=REASON",
    help="What is not asked of it.",
)
@click.option(
    "--given",
    multiple=True,
    metavar="COMPONENT:OPTION=VALUE",
    help="An option that specifies a backbone, as hf/auto:model=./folder; without any it is "
    "checked by its description alone.",
)
def command(  # noqa: PLR0913 - each is an option of the command line
    *,
    plugin: str | None,
    wants_json: bool,
    sample: int,
    largest: int,
    limit: float,
    left_out: tuple[str, ...],
    given: tuple[str, ...],
) -> None:
    """Hold a plugin to the contract, check by check, in processes of its own.

    PLUGIN is a distribution, its namespace, or a package's folder (./zoo-acme); without it every
    installed plugin is checked that is not disabled. `zoo plugins` then shows how many checks each
    has passed.
    """
    if given and not plugin:
        raise UsageError("--given is for the backbones of one PLUGIN.", hint="Name the plugin.")
    names = [plugin] if plugin else _let_in()
    reports = []
    for name in names:
        report = examine(
            name,
            without=_reasons(left_out),
            sample=sample,
            largest=largest,
            limit=limit,
            given=parsed(given),
        )
        reports.append(report)
        if "/" not in name and name not in (".", ".."):
            card.write(report)
        if not wants_json:
            _show(report)
    if wants_json:
        console.as_json([report.to_json() for report in reports])
    broken = [report.distribution for report in reports if not report.ok]
    if broken:
        raise PluginFault(
            f"The contract is broken by {', '.join(broken)}.",
            hint="plugins/README.md in zoo's sources says what a plugin must give.",
        )


def _let_in() -> list[str]:
    """Every installed plugin that is not left out, by distribution.

    Raises:
        Unavailable: there is none.
    """
    found = sources()
    for line in unheeded(found):
        console.note(line)
    if not found:
        raise Unavailable("No plugin is installed.", hint="Give a folder: zoo plugins check ./PATH")
    undo = {}
    for one in found:
        if one.off:
            owner = f"{one.distribution} {one.version}"
            console.note(f"{owner} is disabled by {one.off.by}, and is not checked.")
            undo[one.off.undo] = None
    if all(one.off for one in found):
        raise Unavailable("Every installed plugin is disabled.", hint=" ".join(undo))
    return [one.distribution for one in found if not one.off]


def _reasons(texts: tuple[str, ...]) -> dict[str, str]:
    """`CHECK=REASON` as a table; the reason follows the last sign of equality.

    Raises:
        UsageError: one has no reason.
    """
    found = {}
    for text in texts:
        check, sign, reason = text.rpartition("=")
        if not sign or not check or not reason.strip():
            raise UsageError(f"--without {text}: it wants CHECK=REASON.")
        found[check] = reason
    return found


def _show(report: Report) -> None:
    """The table of checks, then what is wrong, then the counts."""
    done = {result.check: result for result in report.results}
    rows = []
    for check in report.planned:
        result = done.get(check)
        seconds = f"{result.seconds:.2f}" if result and result.seconds else ""
        status = result.status if result else "not run"
        shown = result.detail.partition("\n")[0] if result else ""
        what = " ".join(filter(None, (check.component, check.case)))
        rows.append([check.name, what, status, seconds, shown[:80]])
    console.table(["check", "of", "result", "seconds", "why"], rows, right="seconds")
    for line in report.lines():
        console.result(line)
