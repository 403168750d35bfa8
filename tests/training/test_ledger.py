from __future__ import annotations

from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from zoo.training import checkpoints, fit, ledger

if TYPE_CHECKING:
    from pathlib import Path

    import torch

Train = Any  # a fixture that trains


class Queued(ledger.Ledger):
    """Looked at as seldom as that of a device with a queue."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._wait = 0.25


@pytest.mark.usefixtures("tiny")
def test_epochs_shorter_than_the_wait_are_paused_between_too(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = count()
    clock = SimpleNamespace(monotonic=lambda: next(ticks) / 10)  # 0.1 s go by between two calls
    monkeypatch.setattr(ledger, "time", clock)
    monkeypatch.setattr(fit, "Ledger", Queued)
    saved: list[int] = []
    save = checkpoints.save_checkpoint

    def noted(folder: Path, task: fit.Task, *rest: Any) -> Path:  # noqa: ANN401 - passed on
        saved.append(task.position.step)
        return save(folder, task, *rest)

    monkeypatch.setattr(checkpoints, "save_checkpoint", noted)
    train(images, tmp_path / "run", epochs=10, batch_size=12, checkpoint__steps=1)
    assert saved == [3, 6, 9, 10]
