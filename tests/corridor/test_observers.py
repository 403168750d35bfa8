from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

import zoo
from zoo import corridor, hooks, observers, stopping
from zoo.errors import (
    Stopped,
)
from zoo.progress import Silent

from .ears import Ear, Interrupt, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


Train = Any  # a fixture that trains
Draw = Any  # a fixture that draws pictures
pytestmark = pytest.mark.usefixtures("tiny")


# observers


class Watching:
    """An observer's hooks, as a plugin module has them."""

    def __init__(self, *, faulty: bool = False) -> None:
        self.heard: list[Any] = []
        self.faulty = faulty

    @zoo.hookimpl
    def zoo_run_start(self, event: hooks.RunStart) -> None:
        self._hear(event)

    @zoo.hookimpl
    def zoo_epoch_end(self, event: hooks.EpochEnd) -> None:
        self._hear(event)

    @zoo.hookimpl
    def zoo_run_end(self, event: hooks.RunEnd) -> None:
        self._hear(event)

    def _hear(self, event: object) -> None:
        self.heard.append(event)
        if self.faulty:
            raise SystemExit(0) if len(self.heard) == 1 else RuntimeError("I am out")


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Callable[[Watching], None]:
    from zoo.plugins.distributions import Source

    def install(module: Watching) -> None:
        source = Source("zoo-acme", "3.1", "acme", "acme_module", "fingerprint")
        monkeypatch.setattr(observers, "sources", lambda: [source])
        monkeypatch.setitem(sys.modules, "acme_module", module)

    return install


def test_an_observer_hears_of_a_run_in_order(
    images: Path, tmp_path: Path, train: Train, watching: Callable[[Watching], None]
) -> None:
    module = Watching()
    watching(module)
    done = train(images, tmp_path / "run", observe=("acme",), epochs=2)
    start, *epochs, end = module.heard
    assert start == hooks.RunStart(done.folder, read(done.folder / "plan.json"))
    lines = (done.folder / "metrics.jsonl").read_text().splitlines()
    assert [one.record for one in epochs] == [json.loads(line) for line in lines]
    assert end == hooks.RunEnd(done.folder, "finished", done.summary)


def test_an_observer_that_fails_is_named_and_stops_nothing(
    images: Path, tmp_path: Path, train: Train, watching: Callable[[Watching], None]
) -> None:
    watching(Watching(faulty=True))
    ear = Ear()
    done = train(images, tmp_path / "run", observe=("acme",), epochs=1, listener=ear)
    assert done.summary["status"] == "finished"
    assert "observer zoo-acme 3.1: zoo_run_start failed: SystemExit: 0" in ear.notes
    assert "observer zoo-acme 3.1: zoo_run_end failed: RuntimeError: I am out" in ear.notes


def test_an_observer_hears_how_a_run_ended_that_did_not_finish(
    images: Path, tmp_path: Path, train: Train, watching: Callable[[Watching], None]
) -> None:
    module = Watching()
    watching(module)
    ear = Interrupt(signal.SIGINT, at=17)
    with pytest.raises(Stopped):
        train(images, tmp_path / "run", observe=("acme",), listener=ear)
    assert module.heard[-1] == hooks.RunEnd(tmp_path / "run", "stopped", None)
    done = corridor.resume(tmp_path / "run", listener=Silent())
    assert module.heard[-1] == hooks.RunEnd(tmp_path / "run", "finished", dict(done.summary))
    begun = [event for event in module.heard if isinstance(event, hooks.RunStart)]
    assert len(begun) == 2
    epochs = [event.record["epoch"] for event in module.heard if isinstance(event, hooks.EpochEnd)]
    assert sorted(set(epochs)) == list(range(1, len(set(epochs)) + 1))


def test_the_seconds_of_a_run_are_those_of_all_its_parts(
    images: Path, tmp_path: Path, train: Train, cold: Callable[[], None]
) -> None:
    full = {"train": "full", "epochs": 3}
    whole = train(images, tmp_path / "a", **full).summary["seconds"]
    assert whole["total"] >= sum(whole[name] for name in whole if name != "total") - 0.01
    cold()
    with pytest.raises(Stopped):
        train(images, tmp_path / "b", listener=Interrupt(signal.SIGINT, at=17), **full)
    (manifest,) = (tmp_path / "b/checkpoints").glob("step-*/position.json")
    before = read(manifest)["seconds"]
    after = corridor.resume(tmp_path / "b", listener=Silent()).summary["seconds"]
    assert after["total"] > before["total"] > 0
    assert all(after[name] >= seconds for name, seconds in before.items())


def test_signals_are_not_listened_to_outside_the_main_thread() -> None:
    import threading

    heard = list[stopping.Stop]()

    def listen() -> None:
        with stopping.listening() as stop:
            stop.check()
            heard.append(stop)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert len(heard) == 1
