"""The regression gate: what a run's speed stands on, counted and never timed.

A change that makes a run wait, compute or decode more often than it has to fails here on any
machine: host synchronisations between two looks, passes of a step, forward passes of a frozen
backbone, decoded files.
"""

from __future__ import annotations

import math
import sys
from contextlib import ExitStack
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import zoo
from zoo.data import hashes, worker
from zoo.training import augment, fit, resident
from zoo.training.device import Device
from zoo.training.feeds import FEATURE_BATCH
from zoo.training.ledger import Entry, Ledger
from zoo.training.resident import Resident, Streamed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from zoo.index import Catalog

Train = Any  # a fixture that trains
pytestmark = pytest.mark.usefixtures("tiny")
aten = torch.ops.aten

#: operations whose result, or its shape, the host has to wait for
WAITING = {
    *(aten._local_scalar_dense, aten.item, aten.is_nonzero),  # noqa: SLF001 - float(x), if x, x.item()
    *(aten.equal, aten.nonzero, aten.masked_select, aten.bincount),
    *(aten._unique2, aten.unique_dim, aten.unique_consecutive),  # noqa: SLF001
}
#: methods that read a tensor without an operation
READING = (Tensor.tolist, Tensor.cpu)


class _Operations(TorchDispatchMode):
    def __init__(self, waits: list[str]) -> None:
        super().__init__()
        self.waits = waits

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401 - torch's signature
        del types
        masks = [
            one
            for given in args
            if isinstance(given, list)
            for one in given
            if isinstance(one, Tensor) and one.dtype in {torch.bool, torch.uint8}
        ]
        # A mask as an index is looked up for its places first.
        indexing = func.overloadpacket in {aten.index, aten.index_put, aten.index_put_}
        if func.overloadpacket in WAITING or (indexing and masks):
            self.waits.append(str(func))
        return func(*args, **(kwargs or {}))


class _Methods(TorchFunctionMode):
    def __init__(self, waits: list[str]) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401 - torch's signature
        del types
        given = kwargs or {}
        # From the CPU to the CPU nothing moves, so a move that would wait is known by how it is
        # asked for. torch's own are among weights and gradients, which are where they belong.
        place = given.get("device", args[1] if len(args) > 1 else None)
        moving = func is Tensor.to and not isinstance(place, torch.dtype | None)
        torchs = sys._getframe(1).f_globals["__name__"].startswith("torch.")  # noqa: SLF001 - who asks
        if func in READING or (moving and not given.get("non_blocking") and not torchs):
            self.waits.append(func.__name__)
        return func(*args, **given)


class Watched:
    """Steps, and what the host waited for between a first step and the look at its epoch."""

    def __init__(self) -> None:
        self.steps = 0
        self.waits: list[str] = []
        self.looks = 0
        self._watching: ExitStack | None = None

    def begin(self) -> None:
        if self._watching is None:
            self._watching = ExitStack()
            self._watching.enter_context(_Methods(self.waits))
            self._watching.enter_context(_Operations(self.waits))

    def end(self) -> None:
        if self._watching is not None:
            self._watching.close()
            self._watching = None
            self.looks += 1


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """The CPU is worked with as an accelerator is, and nobody looks before an epoch is over."""
    found, step, look = Watched(), fit._step, Ledger.look  # noqa: SLF001 - watched

    def stepping(*given: Any) -> None:  # noqa: ANN401 - a step's
        found.begin()
        found.steps += 1
        step(*given)

    def looking(ledger: Ledger) -> list[Entry]:
        found.end()
        return look(ledger)

    def never(_ledger: Ledger) -> bool:
        return False

    def in_one(_device: torch.device) -> bool:
        return True

    monkeypatch.setattr(fit, "_step", stepping)
    monkeypatch.setattr(Ledger, "look", looking)
    monkeypatch.setattr(Ledger, "due", never)
    monkeypatch.setattr(Device, "accelerator", True)
    monkeypatch.setattr(augment, "_in_one", in_one)
    yield found
    found.end()


HEADS = ("linear:dropout=0.5", "contrastive:dropout=0.2")
LOSSES = (
    "ce",
    "ce:label_smoothing=0.1",
    *(f"cekl:target={target}" for target in ("smooth", "onehot", "view", "prior", "teacher")),
)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("head", HEADS)
def test_no_head_or_loss_makes_the_host_wait_between_two_looks(
    images: Path, train: Train, watched: Watched, finished: Path, head: str, loss: str
) -> None:
    teacher = {"loss__teacher": str(finished)} if "teacher" in loss else {}
    settings = {"train": "lpft", "epochs": 1, "probe__epochs": 1, "batch_size": 4, **teacher}
    train(images, "run", spec=f"tiny/net+{head}+{loss}", balance="weights", **settings)
    assert watched.waits == []
    assert (watched.steps, watched.looks) == (2 + 3, 2)  # the probe's batches are of 8


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize(
    "settings",
    [{"clip": 1}, {"clip": 0}, {"freeze_bn": "off", "balance": "sampler"}, {"augment": "off"}],
)
def test_no_optimiser_and_no_setting_makes_the_host_wait_between_two_looks(
    images: Path, train: Train, watched: Watched, optimizer: str, settings: dict[str, object]
) -> None:
    more = {
        "train": "lpft",
        "epochs": 2,
        "probe__epochs": 1,
        "batch_size": 4,
        "optimizer": optimizer,
    }
    train(images, "run", **more, **settings)
    assert watched.waits == []
    assert (watched.steps, watched.looks) == (2 + 2 * 3, 3)


@pytest.mark.parametrize("settings", [{"augment": "on"}, {"augment": "off"}])
@pytest.mark.parametrize("store", [Resident, Streamed])
def test_pictures_make_the_host_wait_neither_on_the_device_nor_sent_ahead(
    images: Path,
    train: Train,
    watched: Watched,
    monkeypatch: pytest.MonkeyPatch,
    store: type[Resident | Streamed],
    settings: dict[str, object],
) -> None:
    gather, gathered = store.gather, list[int]()

    def gathering(pictures: Any, samples: Any) -> Tensor:  # noqa: ANN401 - passed on
        gathered.append(len(samples))
        return gather(pictures, samples)

    def room(_device: Device) -> float:
        return math.inf if store is Resident else 0

    monkeypatch.setattr(store, "gather", gathering)
    monkeypatch.setattr(resident, "room", room)
    train(images, "run", train="full", epochs=1, batch_size=4, weights="none", **settings)
    assert watched.waits == []
    assert gathered[-3:] == [4, 4, 4]  # before them, the pictures that set the scale


def test_a_loss_that_looks_at_a_number_is_found_out(
    images: Path, train: Train, watched: Watched, tiny: Callable[..., Catalog]
) -> None:
    stubborn = zoo.Component(
        name="stubborn", target="stubborn_losses:Stubborn", needs=("logits",), summary="CE."
    )
    tiny(losses=[stubborn])
    train(images, "run", spec="tiny/net+linear+tiny/stubborn", epochs=2, batch_size=4)
    assert watched.waits == ["aten._local_scalar_dense.default"] * 6


def positive(given: Tensor) -> Tensor:
    return given[given > 0]


def moved_by_name(given: Tensor) -> Tensor:
    return given.to("cpu")


def moved_to_double(given: Tensor) -> Tensor:
    return given.to(device=torch.device("cpu"), dtype=torch.float64)


@pytest.mark.parametrize(
    "wait",
    [
        float,
        bool,
        Tensor.item,
        Tensor.tolist,
        Tensor.cpu,
        Tensor.nonzero,
        positive,
        torch.unique,
        moved_by_name,
        moved_to_double,
    ],
)
def test_each_way_to_wait_is_counted(wait: Callable[[Tensor], object]) -> None:
    waits: list[str] = []
    given = torch.ones(1)
    with _Methods(waits), _Operations(waits):
        _ = given[torch.tensor([0])] + given.sum().to(torch.float64)
        _ = given.to("cpu", non_blocking=True)
        assert waits == []
        wait(given)
    assert len(waits) == 1


# forward passes and decoded files


class Counted:
    """What was done with images.

    Args:
        passes: images of each forward pass of the backbone, by train mode.
        files: decoded.
    """

    def __init__(self) -> None:
        self.passes: dict[bool, list[int]] = {True: [], False: []}
        self.files = 0


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Count, and take no picture for one that may still be written."""
    net = import_module("tiny_parts").Net
    found, forward, read = Counted(), net.forward, worker.read

    def passing(module: torch.nn.Module, given: Tensor) -> Any:  # noqa: ANN401 - as given
        # Not those without memory that prove the parts, nor the single images that a folded
        # backbone is judged by.
        if not given.is_meta and len(given) > 1:
            found.passes[module.training].append(len(given))
        return forward(module, given)

    def reading(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - passed on
        found.files += 1
        return read(*given, **named)

    monkeypatch.setattr(net, "forward", passing)
    monkeypatch.setattr(worker, "read", reading)
    monkeypatch.setattr(hashes, "UNSETTLED_NS", 0)
    return found


@pytest.mark.parametrize(
    ("spec", "kept"), [("tiny/net+linear+cekl", 1), ("tiny/net+contrastive+cekl", 8)]
)
def test_a_probe_passes_each_view_once_and_a_second_run_none(
    images: Path, train: Train, counted: Counted, spec: str, kept: int
) -> None:
    train(images, "first", spec=spec, epochs=5)
    batches = math.ceil(12 * kept / FEATURE_BATCH) + math.ceil(3 / FEATURE_BATCH)
    # Batches are filled up; however many epochs there are, no more are computed.
    assert counted.passes == {True: [], False: [FEATURE_BATCH] * batches}
    assert counted.files == 15
    train(images, "second", spec=spec, epochs=7, lr=0.5)
    assert len(counted.passes[False]) == batches
    assert counted.files == 15


def test_a_step_of_the_whole_network_is_one_pass(
    images: Path, train: Train, counted: Counted
) -> None:
    train(images, "run", spec="tiny/net+contrastive+cekl", train="full", epochs=2, batch_size=5)
    assert counted.passes[True] == [2 * size for size in (5, 5, 2)] * 2
    assert counted.files == 15


@pytest.mark.parametrize("select", ["best", "last"])
def test_weights_that_were_judged_are_not_judged_again(
    images: Path, train: Train, counted: Counted, select: str
) -> None:
    train(images, "run", train="full", epochs=3, select=select, weights="none")
    # The scale, and each epoch's validation.
    assert counted.passes[False] == [FEATURE_BATCH] * 4
