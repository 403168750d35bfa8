from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import torch

from zoo.errors import Mismatch, Unavailable, UsageError
from zoo.training.device import as_begun, choose, description, is_out_of_memory, settle_modes

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_processor_computes_in_full_precision_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("zoo.training.device.has_matrix_units", lambda: False)
    device = choose("cpu", "auto", "auto", layout="conv")
    assert (device.name, device.precision, device.channels_last) == ("cpu", "fp32", True)
    assert not device.accelerator
    assert device.memory_format is torch.channels_last
    assert len(device.reasons) == 3
    assert json.loads(json.dumps(description(device)))["precision"] == "fp32"


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"amx_tile": True, "amx_bf16": True}, "bf16"),
        ({"amx_tile": True, "amx_int8": True}, "fp32"),
        ({"avx512_bf16": True}, "fp32"),
        ({}, "fp32"),
    ],
)
def test_a_processor_with_matrix_units_computes_in_bfloat16(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    device = choose("cpu", "auto", "auto", layout="conv")
    assert device.precision == expected
    assert device.in_full.precision == "fp32"
    assert choose("cpu", "fp32", "auto", layout="conv").precision == "fp32"


@pytest.mark.parametrize(
    ("wanted", "layout", "expected"),
    [("auto", "token", False), ("on", "token", True), ("off", "conv", False), ("auto", "", True)],
)
def test_tokens_gain_nothing_from_channels_last(
    wanted: str, layout: str, *, expected: bool
) -> None:
    assert choose("cpu", "auto", wanted, layout=layout).channels_last == expected


def test_bfloat16_is_taken_where_it_is_asked_for() -> None:
    device = choose("cpu", "bf16", "off", layout="")
    with device.autocast():
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.bfloat16
    with choose("cpu", "fp32", "off", layout="").autocast():
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.float32


def test_a_device_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for wanted in ("cuda", "cuda:1", "mps"):
        with pytest.raises(Unavailable, match=f"--device {wanted}") as caught:
            choose(wanted, "auto", "auto", layout="conv")
        assert caught.value.exit_code == 69
    assert choose("auto", "auto", "auto", layout="conv").name == "cpu"


@pytest.fixture
def current(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The CUDA cards that are the current one, in each other, the last counting."""
    cards = ["cuda:0"]

    @contextmanager
    def chosen(card: torch.device) -> Iterator[None]:
        cards.append(str(card))
        yield
        cards.pop()

    monkeypatch.setattr(torch.cuda, "device", chosen)
    return cards


def test_the_card_that_computes_is_seeded_and_asked_and_not_the_current_one(
    monkeypatch: pytest.MonkeyPatch, current: list[str]
) -> None:
    seeded: list[tuple[str, int]] = []

    def seeding(seed: int) -> None:
        seeded.append((current[-1], seed))

    def second_alone(*, including_emulation: bool) -> bool:
        return including_emulation or current[-1] == "cuda:1"

    monkeypatch.setattr(torch.cuda, "manual_seed", seeding)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", second_alone)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", str)
    cards = {torch.device(f"cuda:{at}"): SimpleNamespace(total_memory=0) for at in (0, 1)}
    monkeypatch.setattr(torch.cuda, "get_device_properties", cards.get)
    first, second = (choose(f"cuda:{at}", "auto", "auto", layout="conv") for at in (0, 1))
    assert (first.precision, second.precision) == ("fp32", "bf16")
    second.seed(5)
    assert seeded == [("cuda:1", 5)]
    assert current == ["cuda:0"]
    assert as_begun(description(second)).precision == "bf16"
    with pytest.raises(Mismatch, match="cuda:0 cannot compute in"):
        as_begun({**description(second), "name": "cuda:0"})


def of_its_own(*, including_emulation: bool) -> bool:
    """A card that needs no emulation."""
    del including_emulation
    return True


@pytest.mark.usefixtures("current")
def test_one_card_too_many_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", "Card".format)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", of_its_own)
    card = SimpleNamespace(total_memory=24 * 10**9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", {torch.device("cuda"): card}.get)
    found = choose("auto", "auto", "auto", layout="conv")
    assert (found.name, found.title, found.precision) == ("cuda", "Card", "bf16")
    assert found.memory == description(found)["memory"] == 24 * 10**9
    assert found.accelerator
    with pytest.raises(Unavailable, match="cuda:1"):
        choose("cuda:1", "auto", "auto", layout="conv")


def test_out_of_memory_is_told_from_other_errors() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 17.9 GB)"))
    assert is_out_of_memory(RuntimeError("CUDA error: out of memory"))
    assert is_out_of_memory(MemoryError())
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert not is_out_of_memory(ValueError("CUDA error: out of memory"))


def test_deterministic_algorithms_are_asked_for_only_when_wanted() -> None:
    device = choose("cpu", "auto", "auto", layout="conv")
    before = torch.are_deterministic_algorithms_enabled()
    try:
        for wanted in (False, True, False):  # what a run asked for is not left to the next one
            settle_modes(device, deterministic=wanted)
            assert torch.are_deterministic_algorithms_enabled() == wanted
        with pytest.raises(UsageError, match="mps") as caught:
            settle_modes(replace(device, name="mps"), deterministic=True)
        assert "--device cpu" in caught.value.hint
    finally:
        torch.use_deterministic_algorithms(before)


def test_waiting_is_for_devices_that_have_a_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[object] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    cpu = choose("cpu", "auto", "auto", layout="conv")
    cpu.wait()
    assert waited == []
    replace(cpu, name="cuda:1").wait()
    assert waited == [torch.device("cuda:1")]
