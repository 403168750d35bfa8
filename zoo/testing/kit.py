"""The conformance kit: a plugin → what it declares → a plan of checks → processes → a report.

No code of the plugin's runs in the process that asks.
"""

from __future__ import annotations

import fnmatch
import json
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.components import Component, Kind, Value, component_from_json, to_json
from zoo.errors import UsageError
from zoo.testing import cold
from zoo.testing.children import HOT as HOT_SERVER
from zoo.testing.children import LOOKUPS, Server, listings
from zoo.testing.given import typed
from zoo.testing.planned import (
    COLD,
    HOT,
    LARGEST,
    OBSERVING,
    SAMPLE,
    SECOND,
    SPECIFY,
    TARGETS,
    Listing,
    plan,
    sample,
    unchecked,
)
from zoo.testing.report import Check, ContractBroken, Report, Result
from zoo.testing.subject import located

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from zoo.plugins.distributions import Source

#: seconds that one check may take, and that the listing may take
LIMIT = 120.0
#: how often a plugin may end the process that checks it before the rest is left undone
_DEATHS = 5
#: whose versions a report states
_VERSIONS = ("zoo-registry", "torch", "timm", "torchvision")


def check_plugin(
    plugin: str | Path,
    *,
    without: Mapping[str, str] | None = None,
    sample: int = SAMPLE,
    largest: int = LARGEST,
    limit: float = LIMIT,
    given: Mapping[str, Mapping[str, Value]] | None = None,
) -> Report:
    """Hold a plugin to the contract, check by check, in processes of its own.

    ::

        def test_the_plugin_keeps_the_contract():
            check_plugin("zoo-acme")

    Args:
        plugin: an installed distribution (`"zoo-acme"`) or its namespace (`"acme"`), or the folder
            of a package that is not installed, with its `pyproject.toml`.
        without: check → reason, of what is not asked of this plugin: `{"autocast acme/*": "its
            fft has no bfloat16"}`. A check is written as a report writes it; `*` and `?` stand for
            anything. It is counted and told, and must meet at least one check.
        sample: of more backbones than this, so many are checked in full, and all by their
            descriptions.
        largest: parameters of the largest backbone that may be in such a sample.
        limit: seconds that a check may take, and each of the two listings.
        given: name of a backbone that its options specify → those options, as
            `{"auto": {"model": "tests/tiny"}}`. Without them such a backbone is checked by its
            description alone, as the report says.

    Returns:
        The report, with the number of checks by how they ended.

    Raises:
        ContractBroken: an `AssertionError`: a check failed, or was planned and not carried out.
        Unavailable: there is no such plugin.
        UsageError: `without` has no reason or meets no check, or `given` names what there is not.
    """
    report = examine(
        plugin, without=without, sample=sample, largest=largest, limit=limit, given=given
    )
    if not report.ok:
        raise ContractBroken(report)
    return report


def examine(
    plugin: str | Path,
    *,
    without: Mapping[str, str] | None = None,
    sample: int = SAMPLE,
    largest: int = LARGEST,
    limit: float = LIMIT,
    given: Mapping[str, Mapping[str, Value]] | None = None,
) -> Report:
    """As `check_plugin`, but whatever came of it is the report's to say.

    Args:
        plugin: see `check_plugin`, here and below.
        without: check → reason.
        sample: how many backbones are checked in full.
        largest: parameters of the largest of these.
        limit: seconds of a check.
        given: options of backbones that these specify.

    Returns:
        The report, whose `ok` tells whether the contract is kept.

    Raises:
        Unavailable: there is no such plugin.
        UsageError: `without` has no reason or meets no check, or `given` names what there is not.
    """
    with located(plugin) as (source, path), _on_path(path):
        examination = _Examination(source, path, limit, without or {}, given or {})
        return examination.report(sample, largest)


@contextmanager
def _on_path(path: Sequence[str]) -> Iterator[None]:
    """Have modules found where the plugin's processes will find them; none is imported here."""
    before = [*sys.path]
    sys.path[:] = path
    try:
        yield
    finally:
        sys.path[:] = before


class _Examination:
    """One run of the kit."""

    def __init__(
        self,
        source: Source,
        path: tuple[str, ...],
        limit: float,
        without: Mapping[str, str],
        given: Mapping[str, Mapping[str, Value]],
    ) -> None:
        self.source, self.path, self.limit = source, path, limit
        self.without, self.given = without, given
        self.results: dict[Check, Result] = {}
        self.components: dict[Kind, Sequence[Component]] = {}
        self.partial: Sequence[Component] = ()

    def report(self, count: int, largest: int) -> Report:
        """List, plan, check, tell."""
        started = time.perf_counter()
        told = [] if self.source.refused else listings(self.source, self.path, self.limit)
        wrong = self._wrong_with(told)
        listed = Check("listing")
        self._take(listed, "failed" if wrong else "passed", wrong, time.perf_counter() - started)
        planned, words = (listed,), ""
        if not wrong:
            record = told[0]["record"]
            self.components = {
                kind: tuple(component_from_json(one) for one in found)
                for kind, found in record["components"].items()
            }
            self.given = typed(self.given, self.components, self.source.namespace)
            chosen, words = sample(self.components, count, largest, self.given)
            self.partial = unchecked(self.components, chosen)
            observers = tuple(told[0]["observers"])
            listing = Listing(
                self.source.namespace, self.components, tuple(record["entries"]), observers
            )
            planned = plan(listing, chosen)
            wanted = self._wanted(planned)
            self._cold(cold.Told(self.source, self.path, told, self.components), wanted)
            self._in_processes(wanted)
        return Report(
            distribution=self.source.distribution,
            version=self.source.version,
            fingerprint=self.source.fingerprint,
            planned=planned,
            results=tuple(self.results[check] for check in planned if check in self.results),
            sample=words,
            partial=tuple(f"{self.source.namespace}/{one.name}" for one in self.partial),
            versions=_versions(),
            date=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _take(self, check: Check, status: Any, detail: str = "", seconds: float = 0.0) -> None:  # noqa: ANN401 - a Status
        self.results[check] = Result(check, status, detail, round(seconds, 4))

    def _wrong_with(self, told: Sequence[Mapping[str, Any]]) -> str:
        """Why nothing more can be checked; empty if it can."""
        if self.source.refused:
            return self.source.refused
        for listing in told:
            if "died" in listing:
                return str(listing["died"])
            problem = listing["record"]["problem"]
            if problem:
                return "\n".join(filter(None, (problem["reason"], problem["detail"])))[:2000]
        return ""

    def _wanted(self, planned: Sequence[Check]) -> list[Check]:
        """What is planned less what was opted out of."""
        for pattern, reason in self.without.items():
            met = [check for check in planned if fnmatch.fnmatchcase(str(check), pattern)]
            if not reason.strip():
                raise UsageError(f"To leave out {pattern!r} wants a reason.")
            if not met:
                raise UsageError(f"{pattern!r} is left out, and no check is called so.")
            for check in met:
                self._take(check, "opted out", reason)
        return [check for check in planned if check not in self.results]

    def _cold(self, told: cold.Told, wanted: Sequence[Check]) -> None:
        for check in wanted:
            if check.name not in COLD or check.name not in cold.CHECKS:
                continue
            started = time.perf_counter()
            found = [*cold.CHECKS[check.name](told)]
            more = f" (and {len(found) - 3} more)" if found[3:] else ""
            status = "failed" if found else "passed"
            self._take(check, status, "; ".join(found[:3]) + more, time.perf_counter() - started)

    def _in_processes(self, wanted: Sequence[Check]) -> None:
        """Carry out the checks of what options specify; those that need torch, in two processes."""
        with tempfile.TemporaryDirectory(prefix="zoo-check-") as folder:
            hot = [check for check in wanted if check.name in {*HOT, OBSERVING, TARGETS}]
            for server, checks in (
                (LOOKUPS, [check for check in wanted if check.name in SPECIFY]),
                (HOT_SERVER, [check for check in hot if check.name not in SECOND]),
                (HOT_SERVER, [check for check in hot if check.name in SECOND]),
            ):
                self._in_children(server, checks, Path(folder))

    def _in_children(self, server: Server, left: list[Check], folder: Path) -> None:
        """Each check that ends its process has failed; the next process goes on behind it."""
        for _ in range(_DEATHS):
            if not left:
                return
            died = server.carry_out(self._order(left, folder), self.limit)
            begun = self._read(left, folder / "results.jsonl")
            if died and begun is not None:
                words = f"it ended the process: {died.words}{died.tail}"
                self._take(begun, "failed", words)
            left = [check for check in left if check not in self.results]

    def _order(self, left: Sequence[Check], folder: Path) -> dict[str, Any]:
        """What a child is told; `zoo.testing.outcomes` says what it writes into `results`."""
        (folder / "results.jsonl").unlink(missing_ok=True)
        tried = {(check.kind, check.component.rpartition("/")[2]) for check in left}
        return {
            "path": self.path,
            "plugin": {
                name: getattr(self.source, name)
                for name in ("distribution", "version", "namespace", "module")
            },
            "components": {
                kind: [to_json(one) for one in found if (kind, one.name) in tried]
                for kind, found in self.components.items()
            },
            "checks": [
                (
                    number,
                    {
                        "name": one.name,
                        "component": one.component,
                        "case": one.case,
                        "kind": one.kind,
                    },
                )
                for number, one in enumerate(left)
            ],
            "given": self.given,
            "targets": sorted({one.target for one in self.partial}),
            "results": str(folder / "results.jsonl"),
            "output": str(folder / "output.txt"),
            "folder": str(folder),
            "cwd": str(Path.cwd()),
        }

    def _read(self, left: Sequence[Check], file: Path) -> Check | None:
        """Take the results; the check that was begun last and not ended, if there is one."""
        begun = None
        for line in file.read_text("utf-8").splitlines() if file.exists() else ():
            record = json.loads(line)
            if "begins" in record:
                begun = left[record["begins"]]
                continue
            begun = None
            check = left[record["number"]]
            self._take(check, record["status"], record["detail"], record["seconds"])
        return begun


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in _VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
