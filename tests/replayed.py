"""What the tests of repeated runs read of a run, and change in its record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def read(run: Path, name: str) -> dict[str, Any]:
    return json.loads((run / name).read_text())


def result(run: Path) -> dict[str, Any]:
    """All figures of a run, its model's bytes, and what each of its epochs came to."""
    told = read(run, "summary.json")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    timed = {"seconds", "images_per_second"}
    return {
        "val": told["val"],
        "test": told["test"],
        "frozen": told["train"]["frozen"],
        "epochs": [{key: one[key] for key in one if key not in timed} for one in lines],
        "model": (run / "model" / "model.safetensors").read_bytes(),
        "split": (run / "split.json").read_bytes(),
        "classes": (run / "classes.json").read_bytes(),
    }


def edited(run: Path, **changes: Any) -> None:  # noqa: ANN401 - JSON is what it is
    (run / "plan.json").write_text(json.dumps({**read(run, "plan.json"), **changes}))
