"""How fast each part of a run is, and what keeps training below full speed: plain numbers.

Training is *fed* when it is as fast with the images of the data set as with one batch that lies on
the device and is used again and again (its headspace); else it is *starved*, by what takes longest.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: from this share of the headspace on, a faster feed is not worth anybody's time
FED = 0.97
#: shares of neighbouring blocks that differ by more do not show that a stage is fed
_NOISY = 0.15
#: a cause that takes less of the time is not worth naming
_NAMED = 0.001
#: what starves training → what helps
ADVICE = {
    "decode": "later runs on these images find them decoded; for the first, more cores or smaller "
    "files",
    "streaming": "a larger ZOO_CACHE_LIMIT or a disk with more room for the cache, more cores, or "
    "smaller files",
    "augmentation": "more cores, or less of it: --set augment.jitter=0, --set augment=off",
    "transfer": "a smaller --image-size, or a device with a faster link",
    "loader": "a larger --batch-size, and nothing else running on this machine",
}


@dataclass(frozen=True, slots=True)
class Lap:
    """One block of a measurement: so much work in so many seconds."""

    images: int
    steps: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a measurement came to, over its blocks.

    Args:
        median: of the blocks' rates.
        low: of them.
        high: of them.
        unit: `images/s` or `steps/s`.
        blocks: how many.
        steps: of all blocks: optimiser steps, batches, or files.
        batch: images of a step.
        threads: threads, or processes, that worked.
    """

    median: float
    low: float
    high: float
    unit: str
    blocks: int
    steps: int
    batch: int
    threads: int

    @staticmethod
    def of(laps: Sequence[Lap], *, batch: int, threads: int, unit: str = "images/s") -> Rate:
        """Sum up blocks, of which there is at least one."""
        counted = [lap.steps if unit == "steps/s" else lap.images for lap in laps]
        rates = [count / lap.seconds for count, lap in zip(counted, laps, strict=True)]
        return Rate(
            **_spread(rates),
            unit=unit,
            blocks=len(laps),
            steps=sum(lap.steps for lap in laps),
            batch=batch,
            threads=threads,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Achieved over headspace, block by block beside each other: median, least and greatest."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(achieved: Sequence[Lap], headspace: Sequence[Lap]) -> Share:
        """Of blocks that took turns, so that what disturbs one disturbs its neighbour."""
        pairs = zip(achieved, headspace, strict=True)
        return Share(
            **_spread(
                [
                    (one.images / one.seconds) / (other.images / other.seconds)
                    for one, other in pairs
                ]
            )
        )

    def ends(self) -> tuple[float, float, float]:
        """Median, low, high."""
        return self.median, self.low, self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One kind of work that images go through.

    Args:
        name: `features` (forward passes of a frozen backbone) or `full` (training steps).
        headspace: with one batch that lies on the device.
        achieved: with the feed of a run.
        share: of the headspace that is achieved.
        feed: making inputs, and nothing else.
        transfer: moving to the device what inputs are made of, and nothing else; None where the
            feed does no more than that.
        passes: how often a run takes each image through it.
        streamed: share of the images that the cache has no room for: each pass decodes them.
        again: what a pass loses by that, seconds of an image.
    """

    name: str
    headspace: Rate
    achieved: Rate
    share: Share
    feed: Rate
    transfer: Rate | None
    passes: int
    streamed: float = 0.0
    again: float = 0.0

    def streaming(self, share: float, decode: Rate, *, beside: bool) -> Stage:
        """This stage of a run that decodes some images in each pass.

        Args:
            share: of the images.
            decode: of files.
            beside: whether a device of its own computes meanwhile, which loses only what decoding
                takes longer than its steps do. Cores can do but one of the two.
        """
        seconds = share / decode.median
        if beside:
            seconds = max(0.0, seconds - 1 / self.achieved.median)
        return replace(self, streamed=share, again=seconds)

    def costs(self) -> dict[str, float]:
        """What the feed's parts take when nothing else happens, seconds of an image."""
        feed = 1 / self.feed.median
        if self.transfer is None:
            return {"transfer": feed}
        transfer = min(feed, 1 / self.transfer.median)
        return {"augmentation": feed - transfer, "transfer": transfer}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a stage is fed.

    Args:
        stage: its name.
        first: whether decoding all images counts, which only the first run on them does.
        share: of the headspace that is achieved.
        fed: whether that is enough.
        sure: whether all blocks agree on it; that it is fed, also blocks that differ little.
        by: what takes longest of the time that is lost; empty where the stage is fed.
        lost: share of the time that each cause takes.
        advice: what would help; empty where the stage is fed.
    """

    stage: str
    first: bool
    share: float
    fed: bool
    sure: bool
    by: str
    lost: Mapping[str, float]
    advice: str


def judge(stage: Stage, decode: Rate | None = None) -> Verdict:
    """Say whether a stage is fed, and if not, what it waits for.

    What the feed's parts take when alone explains what is lost against the headspace; where they
    take more than is lost, they run beside the step, and the loss is theirs in proportion. What
    they leave unexplained is the loader's: the loop around the step, waiting, and contention.

    Args:
        stage: as measured.
        decode: of its images, when the first run is asked about: each is decoded once for all of
            the stage's passes, and nothing else happens meanwhile. What every pass decodes again
            counts in any run.
    """
    ideal = 1 / stage.headspace.median  # seconds of an image
    missing = max(0.0, ideal / stage.share.median - ideal)
    costs = stage.costs()
    visible = min(1.0, missing / sum(costs.values()))
    causes = {name: seconds * visible for name, seconds in costs.items()}
    causes["loader"] = max(0.0, missing - sum(causes.values()))
    if decode or stage.streamed:
        once = 1 / (decode.median * stage.passes) if decode else 0.0
        causes["decode"] = once + stage.again
    whole = ideal + sum(causes.values())
    decoding = causes.get("decode", 0.0) / ideal
    # Not `ideal / whole`, which is at most 1: noise shows as it is.
    share, low, high = (one / (1 + one * decoding) for one in stage.share.ends())
    fed = share >= FED
    by = "" if fed else max(causes, key=lambda name: causes[name])
    return Verdict(
        stage=stage.name,
        first=decode is not None,
        share=share,
        fed=fed,
        # Nobody shall mend what only noise broke: of what starves, every block must tell.
        sure=(low >= FED or high - low <= _NOISY) if fed else high < FED,
        by=by,
        lost={name: seconds / whole for name, seconds in causes.items()},
        advice=ADVICE.get("streaming" if by == "decode" and stage.streamed else by, ""),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """How fast a spec would train on some data, on this machine.

    Args:
        spec: canonical.
        device: as plan.json has it: name, title, precision, threads, ...
        images: in the training part.
        sample: how many of them were decoded, and stand for all.
        size: (height, width) of the input, pixels.
        views: of each image in training.
        decode: of files, by the decoding children.
        stages: what images go through.
        probe: optimiser steps on stored features; None where nothing is probed.
        verdicts: on each stage, with images at hand and in the first run.
    """

    spec: str
    device: Mapping[str, Any]
    images: int
    sample: int
    size: tuple[int, int]
    views: int
    decode: Rate
    stages: tuple[Stage, ...]
    probe: Rate | None
    verdicts: tuple[Verdict, ...]

    def rates(self) -> dict[str, Rate]:
        """Every measurement by its name, in the order of a run."""
        found = {"decode": self.decode}
        for stage in self.stages:
            for name in ("headspace", "achieved", "feed", "transfer"):
                if rate := getattr(stage, name):
                    found[f"{stage.name} {name}"] = rate
            if self.probe and stage.name == "features":
                found["probe steps"] = self.probe
        return found

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        record = asdict(self)
        lists = {name: list(record[name]) for name in ("size", "stages", "verdicts")}
        return {**record, **lists}

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Bench:
        """The inverse of `to_json`."""
        fields: dict[str, Any] = {
            **record,
            "size": tuple(record["size"]),
            "decode": Rate(**record["decode"]),
            "stages": tuple(_stage(one) for one in record["stages"]),
            "probe": Rate(**record["probe"]) if record["probe"] else None,
            "verdicts": tuple(Verdict(**one) for one in record["verdicts"]),
        }
        return Bench(**fields)

    def __repr__(self) -> str:
        """Rates and verdicts in a few lines."""
        rates = [
            f"{name}: {rate.median:,.1f} {rate.unit} ({rate.low:,.1f} to {rate.high:,.1f})"
            for name, rate in self.rates().items()
        ]
        return "\n".join([*self.heading(), *rates, *self.words()])

    def heading(self) -> list[str]:
        """What was measured, on what."""
        device, (height, width) = self.device, self.size
        layout = "channels last" if device["channels_last"] else "channels first"
        facts = (device["title"], device["precision"], layout, f"torch {device['torch']}")
        data = f"{self.images} training images at {width}x{height} px, {self.views} view(s)"
        return [
            self.spec,
            f"  device  {', '.join(facts)}",
            f"  data    {data}; {self.sample} of them decoded, which stand for all",
        ]

    def words(self) -> list[str]:
        """The verdicts, a line each."""
        stages = {stage.name: stage for stage in self.stages}
        return [_sentence(one, stages[one.stage]) for one in self.verdicts]


def laps_of(events: Sequence[tuple[float, int]], blocks: int) -> list[Lap]:
    """Blocks of about equal counts out of what a counter said.

    Args:
        events: (seconds, count so far), of which neither ever falls; the first says when counting
            began. What lies before the second is left out where there are enough others: until then
            those who count were starting.
        blocks: at most.

    Returns:
        At least one lap, the last of which ends with the last event.
    """
    heard = [now for before, now in pairwise(events) if now[1] > before[1]]
    marks = heard if len(heard) > 1 else [events[0], *heard]
    blocks = max(1, min(blocks, len(marks) - 1))
    chosen = [marks[round(place * (len(marks) - 1) / blocks)] for place in range(blocks + 1)]
    return [
        Lap(now[1] - before[1], now[1] - before[1], max(now[0] - before[0], 1e-9))
        for before, now in pairwise(chosen)
    ]


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": median(values), "low": min(values), "high": max(values)}


def _stage(record: Mapping[str, Any]) -> Stage:
    fields: dict[str, Any] = {
        **record,
        "headspace": Rate(**record["headspace"]),
        "achieved": Rate(**record["achieved"]),
        "share": Share(**record["share"]),
        "feed": Rate(**record["feed"]),
        "transfer": Rate(**record["transfer"]) if record["transfer"] else None,
    }
    return Stage(**fields)


def _sentence(verdict: Verdict, stage: Stage) -> str:
    """A verdict in words."""
    figures, name = f"{verdict.share:.0%} of headspace", verdict.stage
    if stage.streamed:
        name += f", of whose images every pass decodes {stage.streamed:.0%} for want of room"
    if verdict.first:
        name += ", the first run's decoding included"
    else:
        figures += f" ({stage.share.low:.0%} to {stage.share.high:.0%})"
    if not verdict.sure:
        # The feed's own rate needs no comparison of two steps, and so bears more noise.
        most = 1 / (1 + stage.headspace.median / stage.feed.median)
        return (
            f"{name}: unclear, {figures}: blocks differ too much. A step that waits for its feed, "
            f"by their rates, would have {most:.0%}. Try a larger --seconds."
        )
    if verdict.fed:
        return f"{name}: fed, {figures}."
    named = verdict.lost.items()
    lost = ", ".join(f"{cause} {part:.1%}" for cause, part in named if part >= _NAMED)
    why = f"starved by {verdict.by}, {figures}. Lost to {lost}."
    return f"{name}: {why} What helps: {verdict.advice}."
