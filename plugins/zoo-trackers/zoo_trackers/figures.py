"""What of a run's events a tracker keeps: flat names and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

METRICS = "metrics.jsonl"
#: where a run's trackers keep what is theirs, inside its folder
FOLDER = "trackers"


def numbers(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    """Name → number of a nested object: `{"terms": {"ce": 1}}` gives `terms/ce`."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from numbers(value, f"{before}{key}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield f"{before}{key}", float(value)


def of_epoch(record: Mapping[str, Any]) -> dict[str, float]:
    """The figures of an epoch, under its phase: `probe/loss`, `probe/terms/ce`, `probe/top1`."""
    kept = {key: value for key, value in record.items() if key not in {"phase", "epoch"}}
    return dict(numbers(kept, f"{record['phase']}/"))


def of_end(summary: Mapping[str, Any]) -> dict[str, float]:
    """The finished model's figures: `final/val/top1` and the like."""
    judged = {
        part: summary[part] for part in ("val", "test") if isinstance(summary.get(part), dict)
    }
    return dict(numbers(judged, "final/"))


def settings(plan: Mapping[str, Any]) -> dict[str, str]:
    """What decided the run, flat and in words: the spec, and each setting's value."""
    values = {key: _value(said) for key, said in plan.get("settings", {}).items()}
    return {"spec": str(plan.get("spec", "")), **{key: str(value) for key, value in values.items()}}


def _value(said: object) -> object:
    return said["value"] if isinstance(said, dict) and "value" in said else said


def epochs_before(folder: Path) -> int:
    """How many epochs of the run are on record; those after them are still to come."""
    try:
        return len((folder / METRICS).read_text("utf-8").splitlines())
    except FileNotFoundError:
        return 0
