from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from zoo.training import resident
from zoo.training.device import Device, choose
from zoo.training.resident import Resident, Streamed, placed

CPU = choose("cpu", "fp32", "off", layout="conv")
PICTURES = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3), np.uint8)
ROWS = np.array([6, 2, 0, 5])


class Elsewhere(Device):
    """A device that pictures have to be sent to, in the same memory."""

    @property
    def accelerator(self) -> bool:
        return True


ELSEWHERE = Elsewhere("cpu", "", "fp32", channels_last=False, reasons=("", "", ""))


class Counted(Streamed):
    """Counts how often the memory map is read."""

    reads = 0

    def _read(self, samples: np.ndarray) -> torch.Tensor:
        self.reads += 1
        return super()._read(samples)


def has_room(monkeypatch: pytest.MonkeyPatch, size: float) -> None:
    def room(device: Device) -> float:
        del device
        return size

    monkeypatch.setattr(resident, "room", room)


def test_resident_and_streamed_pictures_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    has_room(monkeypatch, PICTURES.nbytes)
    monkeypatch.setattr(resident, "_PART", 100)  # bytes: two pictures at a time
    there, here = placed(PICTURES, ROWS, CPU), Streamed(PICTURES, ROWS, ELSEWHERE)
    assert isinstance(there, Resident)
    assert there.pictures.shape == (4, 4, 4, 3)  # those of the training part alone
    for samples in (np.array([3, 0]), np.array([1]), np.array([2, 2, 1])):
        expected = torch.from_numpy(PICTURES[ROWS[samples]])
        assert torch.equal(there.gather(samples), expected)
        here.expect(samples)
        assert torch.equal(here.gather(samples), expected)


def test_pictures_that_do_not_fit_are_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    need = len(ROWS) * PICTURES[0].nbytes
    for room, kind in ((need - 1, Streamed), (need, Resident)):
        has_room(monkeypatch, room)
        assert isinstance(placed(PICTURES, ROWS, CPU), kind)


def test_on_a_processor_the_memory_map_is_read_as_it_is() -> None:
    assert resident.room(CPU) == 0
    assert isinstance(placed(PICTURES, ROWS, CPU), Streamed)


def test_a_card_gives_a_share_of_its_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def memory(device: torch.device) -> tuple[int, int]:
        assert device.type == "cuda"
        return 1000, 4000

    monkeypatch.setattr(torch.cuda, "mem_get_info", memory)
    assert resident.room(replace(CPU, name="cuda")) == pytest.approx(1000 * resident.SHARE)


def test_what_was_sent_ahead_is_read_once() -> None:
    pictures = Counted(PICTURES, ROWS, ELSEWHERE)
    pictures.expect(np.array([1, 3]))
    pictures.gather(np.array([1, 3]))
    assert pictures.reads == 1
    pictures.gather(np.array([1, 3]))  # not expected a second time
    assert pictures.reads == 2


def test_what_was_not_expected_is_read_when_it_is_asked_for() -> None:
    pictures = Counted(PICTURES, ROWS, ELSEWHERE)
    pictures.expect(np.array([1, 3]))
    assert torch.equal(pictures.gather(np.array([1, 2])), torch.from_numpy(PICTURES[ROWS[[1, 2]]]))
    assert pictures.reads == 2


def test_a_processor_reads_nothing_ahead() -> None:
    pictures = Counted(PICTURES, ROWS, CPU)
    pictures.expect(np.array([1, 3]))
    assert pictures.reads == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_card_streamed_pictures_are_the_resident_ones() -> None:
    card = choose("cuda", "auto", "auto", layout="conv")
    there, here = placed(PICTURES, ROWS, card), Streamed(PICTURES, ROWS, card)
    assert isinstance(there, Resident)
    for samples in (np.array([3, 0]), np.array([1]), np.array([2, 2, 1])):
        found = here.gather(samples)
        assert torch.equal(found, there.gather(samples))
        here.expect(samples)
        assert torch.equal(here.gather(samples), found)
