from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tests.parts.tiny_parts import Net
from zoo import compiling, inference
from zoo.corridor import Run, resume
from zoo.errors import Unavailable
from zoo.progress import Silent
from zoo.training import compiled as compiled_room
from zoo.training import fit
from zoo.training.compiled import compiled
from zoo.training.device import choose

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zoo.phases import PhasePlan
    from zoo.training.session import Session

Train = Any  # a fixture that trains
#: two batches an epoch of the 12 training images, 8 and 4
FULL = {"train": "full", "epochs": 2, "batch_size": 8, "lr": 0.01, "freeze_bn": "off"}
DEVICE = choose("cpu", "fp32", "auto", layout="conv")
#: torch's own front end and automatic differentiation, without a compiler of C++ behind them
compile_ = partial(torch.compile, backend="aot_eager")
#: every test compiles, so that nothing a test before it left decides
pytestmark = pytest.mark.usefixtures("fresh")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch.compiler.reset()
    monkeypatch.setenv(compiling.VARIABLE, str(tmp_path / "kernels"))
    monkeypatch.setattr(torch, "compile", compile_)


class Ear(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, line: str) -> None:
        self.notes.append(line)


def outcome(folder: Path) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """The weights, and the records less what is timed."""
    tensors = load_file(folder / "model" / "model.safetensors")
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    timed = ("seconds", "images_per_second")
    return (
        {name: one.numpy().tobytes() for name, one in tensors.items()},
        [{key: value for key, value in line.items() if key not in timed} for line in lines],
    )


def counting(calls: list[tuple[str, int]]) -> Callable[..., Callable[[Tensor], Tensor]]:
    """A compiler that changes nothing, and notes what goes through."""

    def compile_nothing(module: nn.Module, **how: object) -> Callable[[Tensor], Tensor]:
        assert how == {"fullgraph": True, "dynamic": False}

        def quick(images: Tensor) -> Tensor:
            calls.append(("training" if module.training else "evaluation", len(images)))
            found: Tensor = module(images)
            return found

        return quick

    return compile_nothing


def refusing(module: nn.Module, **_: object) -> Callable[[Tensor], Tensor]:
    """A compiler that gives up when it is first used, as torch's does."""

    def quick(images: Tensor) -> Tensor:
        module(images)
        raise RuntimeError("no compiler\nhas been found")

    return quick


def test_what_is_compiled_is_the_backbone_for_one_size_of_batch_and_nothing_has_moved() -> None:
    net = Net(8).to(memory_format=DEVICE.memory_format)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    quick = compiled(net, (6, 3, 32, 32), DEVICE)
    assert all(tensor.equal(before[name]) for name, tensor in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    net.drop.p = 0.0
    for count in (6, 5):
        images = torch.randn(count, 3, 32, 32).contiguous(memory_format=DEVICE.memory_format)
        torch.testing.assert_close(quick(images), net(images))
    assert before["norm.num_batches_tracked"] + 4 == net.norm.num_batches_tracked


@pytest.mark.usefixtures("tiny")
def test_only_whole_batches_of_training_are_compiled(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int]] = []
    plain = train(images, tmp_path / "plain", compile="off", **FULL)
    monkeypatch.setattr(torch, "compile", counting(calls))
    quick = train(images, tmp_path / "quick", compile="on", **FULL)
    # The trial, and the whole batch of each epoch.
    assert calls == [("training", 8)] * 3
    assert outcome(quick.folder) == outcome(plain.folder)
    assert "compile" in quick.summary["seconds"]
    assert "compile" not in plain.summary["seconds"]


@pytest.mark.usefixtures("tiny")
def test_a_compiled_run_is_measured_as_its_finished_model_answers(
    images: Path, tmp_path: Path, train: Train
) -> None:
    done = train(images, tmp_path / "run", compile="on", **FULL)
    found = inference.evaluate(done.folder, images, split="val")
    assert found["top1"] == done.summary["val"]["top1"]


@pytest.mark.usefixtures("tiny")
def test_a_compiled_run_that_was_killed_ends_as_the_unbroken_one(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**FULL, "compile": "on", "checkpoint__steps": 1}
    whole = outcome(train(images, tmp_path / "whole", **settings).folder)
    step = fit.optimise.clip
    done: list[int] = []

    def dying(*given: Any) -> Tensor:  # noqa: ANN401 - passed on
        done.append(1)
        if len(done) == 3:
            raise ZeroDivisionError
        return step(*given)

    with monkeypatch.context() as patch:
        patch.setattr(fit.optimise, "clip", dying)
        with pytest.raises(ZeroDivisionError):
            train(images, tmp_path / "run", **settings)
    assert outcome(resume(tmp_path / "run", listener=Silent()).folder) == whole


@pytest.mark.usefixtures("tiny")
def test_where_compiling_fails_a_run_is_only_slower_and_says_so(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", refusing)
    plain = train(images, tmp_path / "plain", compile="off", **FULL)

    def pays(*_: object) -> tuple[bool, str]:
        return True, "on: it pays"

    monkeypatch.setattr(compiling, "choose", pays)
    ear = Ear()
    quick = train(images, tmp_path / "quick", listener=ear, **FULL)
    assert any("cannot be compiled here: RuntimeError: no compiler;" in one for one in ear.notes)
    assert outcome(quick.folder) == outcome(plain.folder)
    assert not list(tmp_path.glob("kernels/zoo-*"))


@pytest.mark.usefixtures("tiny")
def test_whoever_insists_on_compiling_is_told_that_it_fails(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", refusing)
    with pytest.raises(Unavailable, match=r"compile=on: tiny/net .* no compiler") as caught:
        train(images, tmp_path / "run", compile="on", **FULL)
    assert "compile=off" in str(caught.value.hint)


@pytest.mark.usefixtures("tiny")
def test_memory_that_runs_out_while_compiling_is_no_failure_to_compile(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*_: object, **__: object) -> Callable[[Tensor], Tensor]:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(torch, "compile", greedy)
    with pytest.raises(Exception, match="memory") as caught:
        train(images, tmp_path / "run", compile="on", **FULL)
    assert not isinstance(caught.value, Unavailable)


@pytest.mark.usefixtures("tiny")
def test_kernels_that_were_made_count_as_kept(images: Path, tmp_path: Path, train: Train) -> None:
    done: Run = train(images, tmp_path / "run", compile="on", **FULL)
    plan = json.loads((done.folder / "plan.json").read_text())
    assert plan["phases"][0]["compile"] is True
    assert len(list(tmp_path.glob("kernels/zoo-*"))) == 1


@pytest.mark.usefixtures("tiny")
def test_seconds_of_compiling_are_counted_once(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def through(session: Session, phase: PhasePlan) -> None:
        del phase
        session.timed("compile", time.perf_counter() - 10_000)  # as if it had begun so long ago

    monkeypatch.setattr(compiled_room, "through", through)
    seconds = train(images, tmp_path / "run", **FULL).summary["seconds"]
    assert seconds["compile"] >= 10_000
    assert seconds["compile"] + seconds["full"] <= seconds["total"]
