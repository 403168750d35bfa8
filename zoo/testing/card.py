"""The card of a plugin: the last report of the kit, kept for `zoo plugins` to show."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from zoo import folders
from zoo.files import make_folder, write_json
from zoo.testing.report import Report, report_from_json

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.plugins.distributions import Source

NONE = "not checked"
STALE = "stale"


def _file(distribution: str) -> Path:
    return folders.config() / "checked" / f"{distribution}.json"


def write(report: Report) -> Path:
    """Keep a report in the user's configuration folder, in the place of an older one.

    Raises:
        CannotCreate, StorageFault: it cannot be written.
    """
    file = _file(report.distribution)
    make_folder(file.parent)
    write_json(file, report.to_json())
    return file


def read(distribution: str) -> Report | None:
    """The last report that was kept; None where there is none that can be read."""
    try:
        return report_from_json(json.loads(_file(distribution).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def figure(source: Source) -> str:
    """`64 checks`, `62 of 64`, `stale` for files that are others now, or `not checked`."""
    report = read(source.distribution)
    if report is None:
        return NONE
    fresh = (report.version, report.fingerprint) == (source.version, source.fingerprint)
    return report.figure if fresh else STALE
