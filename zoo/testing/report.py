"""What a conformance run planned, what came of each check, and how that is told."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Status = Literal["passed", "failed", "not applicable", "opted out", "not run"]
#: raised when a stored report changes its meaning
SCHEMA = 1


class ContractBroken(AssertionError):
    """A plugin breaks the contract; names every check that failed or was not carried out.

    Attributes:
        report: all of the results.
    """

    def __init__(self, report: Report) -> None:
        """Keep the report, and tell what of it is wrong."""
        super().__init__(str(report))
        self.report = report


@dataclass(frozen=True, slots=True)
class Check:
    """One check that is planned: of a plugin, of a component, or of one value of an option.

    Args:
        name: of the check, as `zoo plugins check` shows it.
        component: `heads/linear`; empty for the whole plugin.
        case: which value or option of it, `dropout=0.9`; empty for none in particular.
        kind: of the component; empty for the whole plugin.
    """

    name: str
    component: str = ""
    case: str = ""
    kind: str = ""

    def __str__(self) -> str:
        """`ports heads/linear`, and what may be opted out of."""
        return " ".join(filter(None, (self.name, self.component, self.case)))


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one check.

    Args:
        check: which.
        status: `passed`, `failed`, `not applicable`, `opted out`, or `not run`.
        detail: why, where it did not pass; one or a few lines.
        seconds: that it took.
    """

    check: Check
    status: Status
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """A conformance run of one plugin.

    Args:
        distribution: the plugin's.
        version: likewise.
        fingerprint: of its files and of what they stand on; another one makes the report stale.
        planned: all checks that what it declares asks for, in order, fixed before any was run.
        results: what came of them.
        sample: what was not checked in full, in words, and how it would be; empty when all was.
        partial: names of these components, with the namespace.
        versions: distribution → version, of what it was checked with.
        date: UTC, ISO 8601.
    """

    distribution: str
    version: str
    fingerprint: str
    planned: tuple[Check, ...]
    results: tuple[Result, ...]
    sample: str = ""
    partial: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    date: str = ""

    @property
    def missing(self) -> tuple[Check, ...]:
        """Checks that were planned and of which nothing came."""
        done = {result.check for result in self.results if result.status != "not run"}
        return tuple(check for check in self.planned if check not in done)

    @property
    def failed(self) -> tuple[Result, ...]:
        """Results of checks that found a fault."""
        return tuple(result for result in self.results if result.status == "failed")

    @property
    def ok(self) -> bool:
        """Whether every planned check was carried out and none found a fault."""
        return not self.failed and not self.missing and bool(self.planned)

    @property
    def counts(self) -> dict[str, int]:
        """How many checks were planned, and how many ended in which way."""
        return {"planned": len(self.planned), **Counter(one.status for one in self.results)}

    @property
    def figure(self) -> str:
        """`64 checks` where all is well, else `62 of 64`; what does not apply is not counted.

        Components that were not checked in full are: `8 checks, 14 in part`.
        """
        aside = {"not applicable", "opted out"}
        wanted = len(self.planned) - sum(one.status in aside for one in self.results)
        passed = self.counts.get("passed", 0)
        checks = f"{passed} checks" if self.ok else f"{passed} of {wanted}"
        return f"{checks}, {len(self.partial)} in part" if self.partial else checks

    def lines(self) -> Iterable[str]:
        """What is wrong, one check after the other, below one line with the counts."""
        ended = ", ".join(f"{count} {words}" for words, count in self.counts.items())
        state = "keeps" if self.ok else "breaks"
        yield f"{self.distribution} {self.version} {state} the contract: {ended}"
        if self.sample:
            yield f"  {self.sample}"
        for result in self.failed:
            yield f"  {result.check}: {result.detail}"
        for check in self.missing:
            yield f"  {check}: planned, and not carried out"

    def __str__(self) -> str:
        """All of the lines."""
        return "\n".join(self.lines())

    def to_json(self) -> dict[str, Any]:
        """As JSON types; `report_from_json` is the inverse."""
        return {"schema": SCHEMA, **asdict(self), "counts": self.counts, "ok": self.ok}


def report_from_json(record: dict[str, Any]) -> Report:
    """The inverse of `Report.to_json`.

    Raises:
        KeyError, TypeError, ValueError: it is no such record.
    """
    if record["schema"] != SCHEMA:
        raise ValueError(f"a report of schema {record['schema']}, not {SCHEMA}")
    results = [one | {"check": Check(**one["check"])} for one in record["results"]]
    parts = {
        name: record[name]
        for name in ("distribution", "version", "fingerprint", "sample", "versions", "date")
    }
    return Report(
        planned=tuple(Check(**one) for one in record["planned"]),
        results=tuple(Result(**one) for one in results),
        partial=tuple(record.get("partial", ())),  # a report of before had none
        **parts,
    )
