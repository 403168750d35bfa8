from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from zoo.data.augment import Recipe, draw
from zoo.training import augment, resident
from zoo.training.device import Device, choose
from zoo.training.resident import Resident, Streamed, placed

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.components import Interpolation

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


def on_disk(array: np.ndarray) -> np.ndarray:
    """As a memory map."""
    with tempfile.TemporaryFile() as file:
        array.tofile(file)
        return np.memmap(file, np.uint8, mode="c", shape=array.shape)


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
    # those of the training part alone, and a line
    assert len(there.levels) == PICTURES[ROWS].nbytes + PICTURES[0, 0].nbytes
    for samples in (np.array([3, 0]), np.array([1]), np.array([2, 2, 1])):
        expected = torch.from_numpy(PICTURES[ROWS[samples]])
        assert torch.equal(there.gather(samples), expected)
        here.expect(samples)
        assert torch.equal(here.gather(samples), expected)


#: (height, width) of pictures in rows of 60 bytes
SHAPES = np.array([[4, 5], [2, 2], [5, 3], [1, 4]])
RAGGED = np.random.default_rng(1).integers(0, 256, (7, 60), np.uint8)


def picture(sample: int) -> np.ndarray:
    high, wide = SHAPES[sample]
    return RAGGED[ROWS[sample], : 3 * high * wide].reshape(high, wide, 3)


@pytest.mark.parametrize("kept", [np.asarray, on_disk], ids=["array", "map"])
def test_pictures_of_many_shapes_come_from_the_upper_left_corner_on(
    monkeypatch: pytest.MonkeyPatch, kept: Callable[[np.ndarray], np.ndarray]
) -> None:
    stored = kept(RAGGED)
    has_room(monkeypatch, 3 * SHAPES.prod(axis=1).sum())
    monkeypatch.setattr(resident, "_PART", 130)  # bytes: two rows at a time
    there, here = (
        placed(stored, ROWS, CPU, SHAPES),
        Streamed(stored, ROWS, ELSEWHERE, SHAPES),
    )
    assert isinstance(there, Resident)
    assert len(there.levels) == 3 * SHAPES.prod(axis=1).sum() + 3 * 5
    for samples in (np.array([3, 0]), np.array([1]), np.array([2, 2, 1]), np.arange(4)):
        here.expect(samples)
        high, wide = SHAPES[samples].max(axis=0)
        for pictures in (there.gather(samples), here.gather(samples)):
            assert pictures.shape == (len(samples), high, wide, 3)
            for found, sample in zip(pictures, samples.tolist(), strict=True):
                expected = picture(sample)
                assert np.array_equal(found[: len(expected), : expected.shape[1]], expected)


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("interpolation", ["bilinear", "lanczos"])
def test_what_lies_beyond_a_picture_does_not_show_in_its_views(
    monkeypatch: pytest.MonkeyPatch, interpolation: Interpolation, *, at_once: bool
) -> None:
    samples = np.arange(4)
    drawn = draw(
        Recipe(), seed=0, phase="full", epoch=0, samples=samples, views=2,
        aspects=SHAPES[:, 1] / SHAPES[:, 0],
    )  # fmt: skip
    pictures = Streamed(RAGGED, ROWS, CPU, SHAPES).gather(samples)

    def in_one(_: torch.device) -> bool:
        return at_once

    monkeypatch.setattr(augment, "_in_one", in_one)
    made = augment.views(pictures, SHAPES, drawn, (6, 7), interpolation).view(4, 2, 3, 6, 7)
    for sample in samples.tolist():
        alone = torch.from_numpy(picture(sample).copy())[None]
        one = slice(sample, sample + 1)
        found = augment.views(alone, SHAPES[one], drawn.some(one), (6, 7), interpolation)
        gap = float((found - made[sample]).abs().max())
        assert gap < 1e-3 if at_once else gap == 0


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
