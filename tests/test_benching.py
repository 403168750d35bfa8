"""What is measured is a run's own work: a clock that only this work moves gives exact rates."""

from __future__ import annotations

import json
import math
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import SPEC, in_this_process
from zoo import benching, stopping
from zoo.benching import bench
from zoo.data import ingest
from zoo.data.canvas import row_bytes
from zoo.errors import BadData, OutOfMemory, Stopped, UsageError
from zoo.progress import Silent
from zoo.speed import Bench
from zoo.training import blocks, features, feeds, fit, optimise, resident, solve
from zoo.training.model import Model
from zoo.training.prefetch import Prefetched

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import numpy as np
    import torch

    from zoo.speed import Verdict

pytestmark = pytest.mark.usefixtures("tiny", "images", "clock")

#: seconds of the clock below that each of these takes
COSTS = {"decode": 0.05, "augmentation": 0.05, "transfer": 0.05, "step": 2.0, "loader": 0.0}


@dataclass(slots=True)
class Clock:
    """Stands still but for what is told to cost something."""

    costs: dict[str, float] = field(default_factory=lambda: dict(COSTS))
    now: float = 0.0
    counted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COSTS, 0))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def perf_counter(self) -> float:
        return self.now

    def costing(
        self, name: str, do: Callable[..., Any], share: Callable[..., float] | None = None
    ) -> Callable[..., Any]:
        """Calls of `do` take a share of what `name` costs."""

        def done(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever it wraps
            with self.lock:  # views are made in several threads
                self.now += self.costs[name] * (share(*given) if share else 1)
                self.counted[name] += 1
            return do(*given, **named)

        return done


def quarters(_pictures: object, samples: np.ndarray) -> float:
    """Of four pictures."""
    return len(samples) / 4


def in_turn(ahead: Prefetched, epoch: int, samples: np.ndarray) -> torch.Tensor:
    """A batch that is made when it is asked for."""
    return ahead.feed.batch(epoch, samples)


def a_quarter(*_: object) -> float:
    """One view, of four."""
    return 1 / 4


@pytest.fixture
def clock(tiny: object, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A run's parts cost what the clock says: four files, pictures or views, or one step."""
    del tiny
    clock = Clock()
    for room in (benching, blocks):
        monkeypatch.setattr(room, "time", clock)
    for name, owner, attribute, *share in (
        ("augmentation", feeds, "view", a_quarter),
        ("transfer", resident.Streamed, "gather", quarters),
        ("transfer", features, "normalise"),  # of pixels that need no views
        ("step", optimise, "clip"),
        ("step", solve, "_evaluate"),
        ("step", Model, "raw_features"),
    ):
        costing = clock.costing(name, getattr(owner, attribute), *share)
        monkeypatch.setattr(owner, attribute, costing)

    # the loader: whatever it is that takes time in the loop and not when the feed is alone
    step, batch = fit._step, feeds.ImageFeed.batch  # noqa: SLF001 - where the loop is slow
    in_loop: list[object] = []

    def stepping(*given: Any) -> None:  # noqa: ANN401 - a step's
        in_loop.append(given)
        step(*given)
        in_loop.clear()

    def feeding(*given: Any) -> Any:  # noqa: ANN401 - a feed's
        if in_loop:
            clock.now += clock.costs["loader"]
        return batch(*given)

    # One clock for all knows nothing of what is done at the same time.
    monkeypatch.setattr(Prefetched, "batch", in_turn)
    monkeypatch.setattr(fit, "_step", stepping)
    monkeypatch.setattr(feeds.ImageFeed, "batch", feeding)

    def decoding(*given: Any) -> Generator[Any, None, None]:  # noqa: ANN401 - a pool's
        for answer in in_this_process(*given):
            clock.now += clock.costs["decode"]
            clock.counted["decode"] += 1
            yield answer

    monkeypatch.setattr(ingest, "in_children", decoding)
    return clock


def measured(**settings: Any) -> Bench:  # noqa: ANN401 - settings of a run
    given = {"weights": "none", "device": "cpu", "batch_size": 4, **settings}
    return bench(SPEC, "images", seconds=20.0, listener=Silent(), settings=given)


def steady(found: Bench, name: str) -> Verdict:
    return next(one for one in found.verdicts if one.stage == name and not one.first)


def test_a_feed_that_keeps_up_is_said_to() -> None:
    found = measured(train="full")
    (stage,) = found.stages
    # 4 images a step; forward pass and update cost two seconds each
    assert stage.headspace.median == pytest.approx(4 / 4)
    assert stage.achieved.median == pytest.approx(4 / 4.1)
    assert stage.feed.median == pytest.approx(4 / 0.1)
    assert stage.transfer is not None
    assert stage.transfer.median == pytest.approx(4 / 0.05)
    assert found.decode.median == pytest.approx(1 / 0.05)
    assert steady(found, "full").fed
    assert steady(found, "full").share == pytest.approx(4 / 4.1)


@pytest.mark.parametrize("slow", ["augmentation", "transfer", "loader"])
def test_whatever_is_slow_in_the_feed_is_named(clock: Clock, slow: str) -> None:
    clock.costs[slow] = 3.0
    verdict = steady(measured(train="full"), "full")
    assert (verdict.fed, verdict.by) == (False, slow)
    feed = sum(clock.costs[part] for part in ("augmentation", "transfer", "loader"))
    assert verdict.share == pytest.approx(4 / (4 + feed))
    assert verdict.lost[slow] == pytest.approx(3 / (4 + feed))


def test_slow_decoding_starves_the_first_run_alone(clock: Clock) -> None:
    clock.costs["decode"] = 60.0  # an image, which its two epochs take two seconds for
    found = measured(train="full", epochs=2)
    verdicts = {one.first: one for one in found.verdicts}
    assert verdicts[False].fed
    assert (verdicts[True].fed, verdicts[True].by) == (False, "decode")
    assert verdicts[True].lost["decode"] == pytest.approx(30 / (30 + 1.025))


def test_features_of_kept_views_are_starved_by_slow_augmentation(clock: Clock) -> None:
    clock.costs["augmentation"] = 1.0  # eight calls for a batch of eight views
    given = {"weights": "none", "device": "cpu", "train": "probe"}
    found = bench(
        "tiny/net+contrastive+ce", "images", seconds=20.0, listener=Silent(), settings=given
    )
    (stage,) = found.stages
    assert (found.views, stage.name, stage.achieved.batch) == (2, "features", 4)
    assert stage.achieved.median == pytest.approx(4 / (2 + 8 + 0.05))
    assert steady(found, "features").by == "augmentation"


@pytest.mark.parametrize(
    ("spec", "classes", "count"),
    [
        ("tiny/net+linear+ce", (5, 5, 5), 12),  # less than a batch of 32
        ("tiny/net+contrastive+ce", (2, 2, 1), 5),  # eight views: a batch of 4 and one left over
    ],
)
def test_features_of_batches_that_are_not_full_are_compared_with_as_many_passes(
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    draw: Callable[..., Path],
    spec: str,
    classes: tuple[int, ...],
    count: int,
) -> None:
    forward = Model.raw_features

    def passing(model: Model, images: Any, *rest: Any) -> Any:  # noqa: ANN401 - as given
        clock.now += len(images)
        return forward(model, images, *rest)

    monkeypatch.setattr(Model, "raw_features", passing)
    given = {"weights": "none", "device": "cpu", "train": "probe"}
    data = draw(Path("drawn"), classes)
    found = bench(spec, data, seconds=20.0, listener=Silent(), settings=given)
    assert found.images == count
    assert steady(found, "features").share == pytest.approx(1.0, abs=0.03)


def test_a_probe_has_no_augmentation_to_wait_for_and_its_steps_are_counted(clock: Clock) -> None:
    found = measured(train="probe")
    (stage,) = found.stages
    assert stage.transfer is None
    assert stage.achieved.median == pytest.approx(12 / 2)
    assert found.probe is not None
    assert (found.probe.median, found.probe.unit) == (pytest.approx(0.5), "steps/s")
    assert clock.counted["augmentation"] == 0


def test_a_probe_that_is_solved_for_is_measured_by_its_evaluations() -> None:
    given: dict[str, object] = {"weights": "none", "device": "cpu", "train": "probe"}
    spec = "tiny/net+linear+ce"
    found = bench(spec, "images", seconds=20.0, listener=Silent(), settings=given)
    assert found.probe is not None
    # Each solve ends with one evaluation that is none of its steps.
    assert 0.4 < found.probe.median <= 0.5
    assert found.probe.unit == "steps/s"


def test_both_phases_of_lpft_are_measured(clock: Clock) -> None:
    found = measured(train="lpft")
    assert [stage.name for stage in found.stages] == ["features", "full"]
    assert list(found.rates()) == [
        "decode", "features headspace", "features achieved", "features feed", "probe steps",
        "full headspace", "full achieved", "full feed", "full transfer",
    ]  # fmt: skip
    assert clock.counted["decode"] == found.sample == 12


def test_headspace_and_achieved_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    feeds_used: list[str] = []
    step = fit._step  # noqa: SLF001 - to see whose turn it is

    def noted(task: fit.Task, *rest: Any) -> None:  # noqa: ANN401 - a step's
        if (name := type(task.feed).__name__) not in feeds_used[-1:]:
            feeds_used.append(name)
        step(task, *rest)

    monkeypatch.setattr(fit, "_step", noted)
    found = measured(train="full")
    # one round to warm up, and the blocks
    assert feeds_used == ["OneBatch", "Prefetched"] * (1 + found.stages[0].achieved.blocks)


def test_steps_train_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    rate = optimise.set_rate

    def noted(optimizer: Any, *rest: Any) -> float:  # noqa: ANN401 - of torch
        set_to = rate(optimizer, *rest)
        rates.extend(group["lr"] for group in optimizer.param_groups)
        return set_to

    monkeypatch.setattr(optimise, "set_rate", noted)
    measured(train="full")
    assert set(rates) == {0.0}


def test_a_larger_sample_is_decoded_where_the_time_allows(
    clock: Clock, draw: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(Path("images"), (40, 40, 40))
    monkeypatch.setattr(benching, "FEW", 1)
    monkeypatch.setattr(benching, "_TRIAL", 4)
    found = measured(train="full", workers=1)
    # a trial of 4 at 20 images/s: all 96 training images are decoded in 20 s
    assert (found.sample, found.images) == (96, 96)
    assert clock.counted["decode"] == 4 + 96
    clock.costs["decode"] = 4.0
    clock.counted["decode"] = 0
    assert measured(train="full", workers=1).sample == 4  # those of the trial take 16 s
    assert clock.counted["decode"] == 4


def test_decoding_is_measured_though_all_is_kept(
    clock: Clock, train: Callable[..., Any], tmp_path: Path
) -> None:
    train(Path("images"), tmp_path / "run", train="full", epochs=1)
    before = clock.counted["decode"]
    found = measured(train="full")
    assert clock.counted["decode"] - before == found.sample == 12


def test_images_that_the_cache_has_no_room_for_are_decoded_in_every_pass(
    clock: Clock, train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # pixels of the three validation images, and canvases of five training images
    monkeypatch.setenv("ZOO_CACHE_LIMIT", str((3 * 32 * 32 * 3 + 5.5 * row_bytes(48)) / 1e9))
    clock.costs["decode"] = 2.0
    found = measured(train="full", epochs=100)
    (stage,) = found.stages
    assert (stage.streamed, stage.again) == (pytest.approx(7 / 12), pytest.approx(2 * 7 / 12))
    verdicts = {one.first: one for one in found.verdicts}
    again, once = 2 * 7 / 12, 2 / 100
    for first, seconds in ((False, again), (True, again + once)):
        assert (verdicts[first].fed, verdicts[first].by) == (False, "decode")
        assert verdicts[first].lost["decode"] == pytest.approx(seconds / (1.025 + seconds))
        assert "ZOO_CACHE_LIMIT" in verdicts[first].advice
    assert "every pass decodes 58% for want of room" in repr(found)
    assert Bench.from_json(json.loads(json.dumps(found.to_json()))) == found
    # As the run does, whose pictures are then there for the next measurement.
    said: list[str] = []

    class Ear(Silent):
        def note(self, line: str) -> None:
            said.append(line)

    train(Path("images"), tmp_path / "run", train="full", epochs=1, listener=Ear())
    assert "7 of 15 images do not fit" in "".join(said)
    assert measured(train="full").stages[0].streamed == pytest.approx(7 / 12)
    monkeypatch.delenv("ZOO_CACHE_LIMIT")
    assert measured(train="full").stages[0].streamed == 0.0


def test_nothing_is_left_behind() -> None:
    cache = Path(benching.pictures.folders.cache())
    measured(train="lpft")
    assert [path.name for path in Path().iterdir()] == ["images"]
    assert not [path for path in cache.rglob("*") if path.is_file() and "hashes" not in path.parts]


@pytest.mark.parametrize("bad", ["refuse", "skip"])
def test_images_that_cannot_be_read_are_refused_or_left_out(bad: str) -> None:
    for name in ("ant", "bee", "cat"):
        Path("images", name, "bad.png").write_bytes(b"no picture")
    if bad == "refuse":
        with pytest.raises(BadData, match=r"bad\.png"):
            measured(train="full", val_fraction=0.01)
        return
    found = measured(train="full", val_fraction=0.01, bad_images="skip")
    assert found.images - found.sample in {1, 2, 3}


def test_where_no_image_can_be_read_none_can_be_skipped() -> None:
    for path in Path("images").rglob("*.png"):
        path.write_bytes(path.name.encode() + path.parent.name.encode())
    with pytest.raises(BadData, match="cannot be read"):
        measured(train="full", bad_images="skip")


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf])
def test_no_time_at_all_is_refused(seconds: float) -> None:
    with pytest.raises(UsageError, match="seconds"):
        bench(SPEC, "images", seconds=seconds, weights="none")


def test_a_stop_is_heeded_between_steps(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = iter(range(10**9))

    def check(_stop: stopping.Stop) -> None:
        if next(checks) > 40:
            raise Stopped("Stopped by a test.")

    monkeypatch.setattr(stopping.Stop, "check", check)
    with pytest.raises(Stopped):
        measured(train="full")
    assert clock.counted["step"] < 40


def test_memory_that_runs_out_is_said_as_for_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(fit, "_step", failing)
    with pytest.raises(OutOfMemory) as caught:
        measured(train="full")
    assert "--batch-size" in caught.value.hint


def test_a_teacher_is_asked_nothing(finished: Path) -> None:
    given = {"weights": "none", "device": "cpu", "train": "full", "loss.teacher": str(finished)}
    spec = "tiny/net+linear+cekl:target=teacher"
    found = bench(spec, "images", seconds=20.0, listener=Silent(), settings=given)
    assert found.stages[0].achieved.steps >= 3
