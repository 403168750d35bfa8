from __future__ import annotations

import json
from dataclasses import replace

import pytest

from zoo.speed import ADVICE, Bench, Lap, Rate, Share, Stage, Verdict, judge, laps_of


def rate(median: float, unit: str = "images/s") -> Rate:
    return Rate(
        median=median, low=0.9 * median, high=1.1 * median, unit=unit,
        blocks=5, steps=50, batch=8, threads=2,
    )  # fmt: skip


def stage(share: float, feed: float = 1e9, transfer: float = 1e9, passes: int = 10) -> Stage:
    """Of 100 images/s where nothing holds it up: an image takes 10 ms there."""
    return Stage(
        name="full",
        headspace=rate(100),
        achieved=rate(100 * share),
        share=Share(median=share, low=share - 0.01, high=share + 0.01),
        feed=rate(feed),
        transfer=rate(transfer),
        passes=passes,
    )


@pytest.mark.parametrize("share", [0.97, 1.0, 1.04])
def test_a_stage_is_fed_from_97_percent_on(share: float) -> None:
    found = judge(stage(share, feed=1000))
    assert (found.fed, found.by, found.advice, found.share) == (True, "", "", share)


@pytest.mark.parametrize(
    ("share", "feed", "transfer", "by"),
    [
        (0.5, 110, 5000, "augmentation"),
        (0.5, 110, 115, "transfer"),
        (0.5, 5000, 9000, "loader"),
        (0.969, 4000, 9000, "augmentation"),
        # it runs beside the step, and is slower than it
        (0.5, 50, 2000, "augmentation"),
        # measured alone, a part may seem slower than the whole
        (0.5, 110, 90, "transfer"),
    ],
)
def test_a_starved_stage_names_what_takes_longest(
    share: float, feed: float, transfer: float, by: str
) -> None:
    found = judge(stage(share, feed, transfer))
    assert (found.fed, found.by, found.advice) == (False, by, ADVICE[by])
    # what is lost is what is not achieved
    assert sum(found.lost.values()) == pytest.approx(1 - share)


def test_a_feed_that_only_moves_what_is_there_is_transfer() -> None:
    found = judge(replace(stage(0.5, feed=110), transfer=None))
    assert found.by == "transfer"
    assert "augmentation" not in found.lost


def test_decoding_counts_once_for_all_passes_of_the_first_run() -> None:
    # 10 ms a step, 100 ms for decoding
    often = judge(stage(1.0, passes=1000), rate(10))
    assert often.fed
    assert often.share == pytest.approx(10 / (10 + 0.1))
    once = judge(stage(1.0, passes=1), rate(10))
    assert (once.fed, once.by, once.first) == (False, "decode", True)
    assert once.lost["decode"] == pytest.approx(100 / 110)
    assert judge(stage(1.0, passes=1)).fed  # the images being at hand


def test_what_each_pass_decodes_counts_in_every_run() -> None:
    # 10 ms a step, and a quarter of the images takes 40 ms each
    streaming = stage(1.0, passes=1000).streaming(0.25, rate(25), beside=False)
    found = judge(streaming)
    assert (found.fed, found.by, found.first) == (False, "decode", False)
    assert found.lost["decode"] == pytest.approx(0.5)
    assert found.share == pytest.approx(0.5)
    assert "ZOO_CACHE_LIMIT" in found.advice
    assert judge(streaming, rate(25)).lost["decode"] == pytest.approx(10.04 / 20.04)


@pytest.mark.parametrize(("files", "share"), [(25, 1.0), (20, 0.8)])
def test_a_device_of_its_own_waits_only_for_decoding_that_is_slower_than_its_steps(
    files: float, share: float
) -> None:
    found = judge(stage(1.0).streaming(0.25, rate(files), beside=True))
    assert found.share == pytest.approx(share)
    assert found.fed is (share == 1.0)


def test_of_two_things_that_starve_the_first_run_the_longer_is_named() -> None:
    slow_views = stage(0.5, feed=100, passes=100)
    assert judge(slow_views, rate(10)).by == "augmentation"
    assert judge(replace(slow_views, passes=2), rate(10)).by == "decode"


@pytest.mark.parametrize(
    ("low", "median", "high", "sure"),
    [
        (0.98, 1.1, 1.4, True),
        (0.93, 0.98, 1.04, True),
        (0.6, 0.98, 1.3, False),
        (0.5, 0.8, 0.96, True),
        (0.85, 0.87, 1.0, False),
        (0.94, 0.96, 0.98, False),
    ],
)
def test_a_verdict_on_blocks_that_contradict_each_other_is_not_sure(
    low: float, median: float, high: float, *, sure: bool
) -> None:
    share = Share(median=median, low=low, high=high)
    assert judge(replace(stage(median), share=share)).sure is sure


def test_a_rate_is_the_median_of_its_blocks_between_the_least_and_the_greatest() -> None:
    laps = [Lap(80, 10, 1.0), Lap(80, 10, 4.0), Lap(80, 10, 2.0)]
    found = Rate.of(laps, batch=8, threads=2)
    assert (found.median, found.low, found.high) == (40, 20, 80)
    assert (found.blocks, found.steps, found.unit) == (3, 30, "images/s")
    assert Rate.of(laps, batch=8, threads=2, unit="steps/s").median == 5


def test_a_share_compares_blocks_that_were_neighbours() -> None:
    quiet, disturbed = Lap(10, 1, 1.0), Lap(10, 1, 9.0)
    found = Share.of([quiet, disturbed], [quiet, disturbed])
    assert found.ends() == (1, 1, 1)


def test_blocks_are_cut_out_of_counts_and_leave_the_start_out() -> None:
    events = [(0.0, 0), (5.0, 1), (6.0, 2), (6.5, 2), (7.0, 3), (8.0, 4), (9.0, 5)]
    assert laps_of(events, 2) == [Lap(2, 2, 2.0), Lap(2, 2, 2.0)]
    assert sum(lap.images for lap in laps_of(events, 5)) == 4


def test_where_there_is_one_image_the_start_counts() -> None:
    assert laps_of([(1.0, 0), (3.0, 1)], 5) == [Lap(1, 1, 2.0)]


@pytest.fixture
def found() -> Bench:
    stages = (stage(0.5, feed=150, transfer=3000),)
    return Bench(
        spec="tiny/net+heads/linear+losses/ce",
        device={"name": "cpu", "title": "CPU, 2 threads", "precision": "fp32", "threads": 2,
                "channels_last": True, "torch": "2.15"},
        images=40,
        sample=30,
        size=(32, 48),
        views=1,
        decode=rate(300),
        stages=stages,
        probe=rate(2000, "steps/s"),
        verdicts=tuple(judge(stages[0], decode) for decode in (None, rate(300))),
    )  # fmt: skip


def test_it_goes_through_json(found: Bench) -> None:
    assert Bench.from_json(json.loads(json.dumps(found.to_json()))) == found
    stages = (replace(found.stages[0], transfer=None),)
    without = replace(found, probe=None, stages=stages)
    assert Bench.from_json(json.loads(json.dumps(without.to_json()))) == without


def test_json_names_what_programs_look_for(found: Bench) -> None:
    told = found.to_json()
    assert list(told) == [
        *("spec", "device", "images", "sample", "size", "views", "decode", "stages", "probe"),
        "verdicts",
    ]
    assert list(told["stages"][0]) == [
        *("name", "headspace", "achieved", "share", "feed", "transfer", "passes"),
        *("streamed", "again"),
    ]
    assert list(told["verdicts"][0]) == list(Verdict.__slots__)


def test_words_say_the_verdict_its_spread_and_what_helps(found: Bench) -> None:
    steady, first = found.words()
    assert steady == (
        "full: starved by augmentation, 50% of headspace (49% to 51%). Lost to augmentation 31.7%, "
        f"transfer 1.7%, loader 16.7%. What helps: {ADVICE['augmentation']}."
    )
    assert first.startswith("full, the first run's decoding included: starved by augmentation, 49%")
    assert "48x32 px" in repr(found)
    assert "decode: 300.0 images/s (270.0 to 330.0)" in repr(found)


def test_words_own_up_to_noise_and_say_what_the_rates_alone_tell(found: Bench) -> None:
    spread = Share(median=0.98, low=0.6, high=1.3)
    noisy = replace(found.stages[0], share=spread, feed=rate(900))
    assert replace(found, stages=(noisy,), verdicts=(judge(noisy),)).words() == [
        "full: unclear, 98% of headspace (60% to 130%): blocks differ too much. "  # noqa: ISC004 - one line
        "A step that waits for its feed, by their rates, would have 90%. Try a larger --seconds."
    ]
