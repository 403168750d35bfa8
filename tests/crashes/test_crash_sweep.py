"""A run killed anywhere and resumed is the unbroken run (P1)."""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Forks = Any  # a fixture that runs command lines in children
Left = Any  # a fixture that reads what a run left
SPEC = "tiny/net+linear:dropout=0.5+cekl"
COMMON = (
    *("--data", "data", "--weights", "none", "--device", "cpu"),
    *("--set", "checkpoint.steps=1", "--set", "checkpoint.seconds=100000"),
)
RUNS = {
    "probe": ("--train", "probe", "--epochs", "2", "--batch-size", "12"),
    "lpft": ("--train", "lpft", "--epochs", "2", "--set", "probe.epochs=1", "--batch-size", "12"),
}


class Case:
    """A run folder and a cache folder of its own, beside the data."""

    def __init__(self, forks: Forks, folder: Path, options: tuple[str, ...]) -> None:
        self.forks, self.folder = forks, folder
        self.run = folder / "run"
        self.start = ("run", SPEC, *COMMON, *options, "--out", self.run)
        folder.mkdir()
        (folder / "data").symlink_to(folder.parent / "data")

    def go(self, **env: object) -> Any:  # noqa: ANN401 - how a command line ended
        """Begin the run, or go on with it if it has begun."""
        begun = (self.run / "plan.json").exists()
        cache = {"ZOO_CACHE": str(self.folder / "cache")}
        return self.forks(
            *(("resume", self.run) if begun else self.start),
            cwd=self.folder,
            env=cache | {key: str(value) for key, value in env.items()},
        )

    def finish(self) -> None:
        ended = self.go()
        assert ended.code == 0, ended.err
        assert "Traceback" not in ended.err


@pytest.fixture
def case(forks: Forks, tmp_path: Path, draw: Callable[..., Path]) -> Callable[..., Case]:
    draw(tmp_path / "data", (4, 4, 4))

    def make(name: str, options: tuple[str, ...]) -> Case:
        return Case(forks, tmp_path / name, options)

    return make


def boundaries(case: Case) -> list[str]:
    """What an unbroken run passes on its way."""
    log = case.folder / "log"
    ended = case.go(ZOO_CRASH_LOG=log)
    assert ended.code == 0, ended.err
    return log.read_text().splitlines()


@pytest.mark.parametrize("name", RUNS)
def test_p1_a_run_killed_at_any_write_and_resumed_ends_in_the_same_bits(
    case: Callable[..., Case], left: Left, name: str
) -> None:
    whole = case("whole", RUNS[name])
    points = boundaries(whole)
    expected = left(whole.run)
    assert expected["status"] == "finished"
    first = 1
    if name == "lpft":
        assert len(points) > 230
        # Every file of a checkpoint, its folder, its pointer, what goes when a newer one is there;
        # the model, the figures, the end.
        for what in (
            *("state", "optimizer", "position", "manifest", "filled step-", "last.json", "trashed"),
            *("removed", "recipe", "shard", "rows", "model", "summary", "report", "exit"),
        ):
            assert any(what in point for point in points), what
    else:  # what differs is the end: all before is swept with the other run
        first = max(number for number, one in enumerate(points, 1) if "before position" in one)
    for number, point in enumerate(points[first - 1 :], first):
        broken = case(f"killed {number}", RUNS[name])
        killed = broken.go(ZOO_CRASH_AT=number)
        assert killed.signal == signal.SIGKILL, (point, killed)
        if not (broken.run / "exit.json").exists():  # all was done, and said
            broken.finish()
        assert left(broken.run) == expected, point


def test_p1_a_run_that_skips_bad_images_survives_a_kill_while_it_settles_its_split(
    case: Callable[..., Case], left: Left, tmp_path: Path
) -> None:
    (tmp_path / "data" / "ant" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n cut short")
    options = (*RUNS["probe"], "--bad-images", "skip")
    whole = case("whole", options)
    points = boundaries(whole)
    expected = left(whole.run)
    settling = [
        number
        for number, point in enumerate(points, 1)
        if point.endswith(("plan.json", "classes.json", "split.json"))
    ]
    assert len(settling) == 36  # each of the three is written twice, by six steps
    for number in settling:
        broken = case(f"killed {number}", options)
        assert broken.go(ZOO_CRASH_AT=number).signal == signal.SIGKILL
        broken.finish()
        assert left(broken.run) == expected, points[number - 1]


@pytest.mark.parametrize("seed", range(6))
def test_p2_a_run_killed_again_and_again_at_random_ends_in_the_same_bits(
    case: Callable[..., Case], left: Left, seed: int
) -> None:
    name = ("probe", "lpft")[seed % 2]
    whole = case("whole", RUNS[name])
    points = len(boundaries(whole))
    broken = case("broken", RUNS[name])
    draw = random.Random(seed)  # noqa: S311 - where to kill, no secret
    for kills in range(3):
        # Each time earlier on its way than there is way left, so that each kill happens.
        killed = broken.go(ZOO_CRASH_AT=draw.randint(1, points // 4))
        assert killed.signal == signal.SIGKILL, (seed, kills, killed)
    broken.finish()
    assert left(broken.run) == left(whole.run)
