"""What the phases of a run share."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from zoo.data.dataset import Dataset
    from zoo.data.ingest import Images
    from zoo.featurestore import FeatureStore
    from zoo.plan import Plan
    from zoo.progress import Listener
    from zoo.training.assemble import Maker, Proof
    from zoo.training.device import Device
    from zoo.training.model import Model


@dataclass(slots=True)
class Session:
    """A run in progress.

    Args:
        plan: settled.
        model: on the device.
        makers: backbone, head, loss.
        proof: what they turned out to be.
        dataset: rows and splits.
        images: their pixels; rows of the dataset and of these are the same.
        device: where to compute.
        listener: hears how it goes.
        pause: called between batches; raises `Stopped` when somebody asked to stop. While a phase
            trains, it saves a checkpoint first.
        checkpoints: folder for them.
        seals: what they hold on to (see `RunFolder.seals`).
        wants_save: whether somebody asked for a checkpoint since it was last called.
        extras: what the engine computed for the loss, `[n_train, ...]` each, in training order; on
            the CPU.
        clock: seconds of each stage, those before a resume included.
        began: when this process began to work on the run, by `time.perf_counter`.
        before: seconds that were spent on the run before this process.
        frozen: hashes of the frozen backbone before and after a probe, and whether they are equal.
        sweep: what summary.json says of the choice between a probe's settings; empty without one.
        phases: what summary.json says of each finished phase.
        features: scaled features on the device: `train` `[n, K, D]`, `val` `[n, D]`, which after a
            phase are of the weights that it kept, or absent where these were judged by another
            process.
        stores: where features of the frozen backbone are kept, by kind.
        forwards: images (views counted) that went through the frozen backbone in this process.
    """

    plan: Plan
    model: Model
    makers: tuple[Maker, Maker, Maker]
    proof: Proof
    dataset: Dataset
    images: Images
    device: Device
    listener: Listener
    pause: Callable[[], None]
    checkpoints: Path
    seals: Mapping[str, Any]
    wants_save: Callable[[], bool]
    extras: dict[str, Tensor] = field(default_factory=dict)
    clock: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)
    before: float = 0.0
    frozen: dict[str, Any] = field(default_factory=dict)
    sweep: dict[str, Any] = field(default_factory=dict)
    phases: list[dict[str, Any]] = field(default_factory=list)
    features: dict[str, Tensor] = field(default_factory=dict)
    stores: Mapping[str, FeatureStore] = field(default_factory=dict)
    forwards: int = 0

    @property
    def seed(self) -> int:
        """Of the run."""
        return int(self.plan["seed"])

    def seconds(self, running: str = "", since: float = 0.0) -> dict[str, float]:
        """Of each stage, and `total`: those and all between them.

        Args:
            running: a stage that is not over yet.
            since: when it began.
        """
        now = time.perf_counter()
        spent = {**self.clock}
        if running:
            spent[running] = round(spent.get(running, 0.0) + now - since, 3)
        return {**spent, "total": round(self.before + now - self.began, 3)}

    def went_on(self, seconds: Mapping[str, float]) -> None:
        """Add what was spent on the run before, as `seconds` told it then."""
        spent = dict(seconds)
        self.before = spent.pop("total", 0.0)
        for name, value in spent.items():
            self.clock[name] = round(self.clock.get(name, 0.0) + value, 3)

    def timed(self, name: str, since: float) -> None:
        """Add to a stage's seconds."""
        self.clock[name] = round(self.clock.get(name, 0.0) + time.perf_counter() - since, 3)
