from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Zoo


def unfinished(folder: Path, images: Path) -> Path:
    """As if the process had been killed after the last checkpoint."""
    for name in ("summary.json", "exit.json", "report.html"):
        (folder / name).unlink()
    plan = json.loads((folder / "plan.json").read_text())
    (folder / "plan.json").write_text(json.dumps({**plan, "data": str(images)}))
    return folder


def test_a_run_goes_on_to_its_end(finished: Path, images: Path, zoo: Zoo) -> None:
    before = json.loads((finished / "summary.json").read_text())
    code, out, err = zoo("resume", str(unfinished(finished, images)), "--json")
    assert code == 0
    told = json.loads(out)
    assert told["val"] == before["val"]
    assert told["train"] == before["train"]
    assert "decode: 15 images" in err
    assert json.loads((finished / "exit.json").read_text())["status"] == "finished"


@pytest.mark.parametrize(
    ("damage", "code", "words"),
    [
        ("finished", 2, "is finished"),
        ("no run", 66, "is no run folder"),
        ("no data", 66, "is not there"),
        ("other data", 78, "The data changed"),
        ("damaged plan", 65, "is damaged"),
        ("damaged checkpoints", 65, "No checkpoint in"),
    ],
)
def test_what_cannot_go_on_says_why(  # noqa: PLR0913 - a table and fixtures
    finished: Path, images: Path, tmp_path: Path, zoo: Zoo,
    *, damage: str, code: int, words: str,
) -> None:  # fmt: skip
    if damage == "no run":
        finished = tmp_path / "nothing"
    elif damage != "finished":
        unfinished(finished, images)
    if damage == "no data":
        images.rename(tmp_path / "moved")
    elif damage == "other data":
        (images / "ant" / "0.png").rename(images / "ant" / "zero.png")
    elif damage == "damaged plan":
        (finished / "plan.json").write_text("{")
    elif damage == "damaged checkpoints":
        for manifest in finished.glob("checkpoints/*/manifest.json"):
            manifest.write_text("{}")
    got, out, err = zoo("resume", str(finished))
    assert (got, out) == (code, "")
    assert words in err
