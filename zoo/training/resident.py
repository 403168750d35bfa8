"""The pictures that steps read: on the device where they fit, else sent ahead of their step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from zoo.data import stream
from zoo.training.device import moved

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zoo.training.device import Device

#: of the device's free memory, what pictures may take; the rest is for training
SHARE = 0.4
#: pictures go to the device in parts of so many bytes
_PART = 64 * 2**20


class Pictures(Protocol):
    """Pictures by sample, each of its own shape."""

    @property
    def shapes(self) -> np.ndarray:
        """(height, width) of each of n samples' `[n, 2]`."""

    def gather(self, samples: np.ndarray) -> Tensor:
        """Those of some samples, on the device, each from the upper left corner on.

        Args:
            samples: `[B]`.

        Returns:
            uint8 `[B, H, W, 3]`, as large as the largest needs; what lies beyond a smaller one is
            of no meaning.
        """

    def begin(self, samples: np.ndarray) -> None:
        """Told all samples that will be asked for next, in their order."""

    def expect(self, samples: np.ndarray) -> None:
        """Told which samples the next `gather` is for, while the device is still at work."""


@dataclass(frozen=True, slots=True)
class Resident:
    """All pictures are on the device, one behind the other.

    Args:
        levels: uint8 `[bytes]`, and behind the last picture as much as the widest line takes.
        starts: first byte of each `[n]`.
        shapes: (height, width) of each `[n, 2]`.
    """

    levels: Tensor
    starts: np.ndarray
    shapes: np.ndarray

    def gather(self, samples: np.ndarray) -> Tensor:
        """One gather on the device, line by line; behind a short line comes what follows it."""
        shapes = self.shapes[samples]
        high, wide = shapes.max(axis=0, initial=0).tolist()
        start, last, line = (
            moved(of[:, None], self.levels.device)
            for of in (self.starts[samples], shapes[:, 0] - 1, 3 * shapes[:, 1])
        )
        down = torch.arange(high, device=self.levels.device)
        begins = start + line * torch.minimum(down, last)
        return self.levels.unfold(0, 3 * wide, 1)[begins].view(len(samples), high, wide, 3)

    def begin(self, samples: np.ndarray) -> None:
        """Nothing is to be done for what is there."""

    def expect(self, samples: np.ndarray) -> None:
        """Nor here."""


def _unsaid() -> np.ndarray:
    return np.empty((0, 2), np.int64)


@dataclass(slots=True)
class Streamed:
    """Pictures stay on the host; a batch is sent while the device computes the one before it.

    Args:
        pictures: uint8 `[m, H, W, 3]`, mostly a memory map; a stream where not all are kept. Or
            `[m, bytes]`, in each row of which a picture begins.
        rows: row of each of n samples in them.
        device: where they go.
        shapes: (height, width) of each `[n, 2]`; may be left out where all have the same.
    """

    pictures: np.ndarray
    rows: np.ndarray
    device: Device
    shapes: np.ndarray = field(default_factory=_unsaid)
    _ahead: tuple[np.ndarray, Tensor] | None = None
    _stream: torch.cuda.Stream | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Shapes that were left out are the array's."""
        if not len(self.shapes):
            self.shapes = _all_alike(self.pictures, len(self.rows))

    def gather(self, samples: np.ndarray) -> Tensor:
        """What was sent ahead if it is this, else sent now."""
        ahead, self._ahead = self._ahead, None
        if ahead is None or not np.array_equal(ahead[0], samples):
            return self.device.tensor_to(self._read(samples))
        if self._stream is not None:
            here = torch.cuda.current_stream(self.device.torch)
            here.wait_stream(self._stream)
            # its memory is not given away before the step that reads it is done
            ahead[1].record_stream(here)
        return ahead[1]

    def begin(self, samples: np.ndarray) -> None:
        """Have those decoded ahead that are not kept."""
        stream.expect(self.pictures, self.rows[samples])

    def expect(self, samples: np.ndarray) -> None:
        """Send these ahead; on a CPU there is nowhere to send them."""
        if not self.device.accelerator:
            return
        pictures = self._read(samples)
        if self.device.torch.type == "cuda":
            self._stream = self._stream or torch.cuda.Stream(self.device.torch)
            with torch.cuda.stream(self._stream):
                self._ahead = samples, self.device.tensor_to(pictures)
        else:
            self._ahead = samples, self.device.tensor_to(pictures)

    def _read(self, samples: np.ndarray) -> Tensor:
        """Copied from the map, to memory that a card reads by itself."""
        pinned = self.device.torch.type == "cuda"
        shapes = self.shapes[samples]
        shape = len(samples), *shapes.max(axis=0, initial=0).tolist(), 3
        read = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
        if self.pictures.shape[1:] == shape[1:]:
            self.pictures.take(self.rows[samples], axis=0, out=read.numpy(), mode="clip")
            return read
        stored = _stored(self.pictures, self.rows[samples])
        for one, row, (high, wide) in zip(read.numpy(), stored, shapes.tolist(), strict=True):
            one[:high, :wide] = row[: 3 * high * wide].reshape(high, wide, 3)
        return read


def _all_alike(pictures: np.ndarray, count: int) -> np.ndarray:
    """(height, width) of so many pictures `[count, 2]` of an array of them."""
    return np.tile(np.array(pictures.shape[1:3], np.int64), (count, 1))


def _stored(pictures: np.ndarray, rows: np.ndarray) -> Iterable[np.ndarray]:
    """Rows, which are not copied if they are mapped: most of a picture's row may be empty."""
    if isinstance(pictures, stream.Stream):
        return pictures.take(rows)
    return (pictures[row] for row in rows.tolist())


def placed(
    pictures: np.ndarray, rows: np.ndarray, device: Device, shapes: np.ndarray | None = None
) -> Resident | Streamed:
    """Pictures that every epoch reads, resident where they fit into a share of the device's memory.

    On a CPU the memory map is resident as it is.

    Args:
        pictures: uint8 `[m, H, W, 3]` or `[m, bytes]`: see `Streamed`.
        rows: row of each sample in them; only these go to the device.
        device: where they go.
        shapes: (height, width) of each sample's `[n, 2]`; may be left out where all have the same.
    """
    if shapes is None:
        shapes = _all_alike(pictures, len(rows))
    sizes = 3 * shapes.prod(axis=1)
    ends = sizes.cumsum()
    total = int(sizes.sum())
    if total > room(device):
        return Streamed(pictures, rows, device, shapes)
    spare = 3 * int(shapes[:, 1].max(initial=0))
    levels = torch.zeros(total + spare, dtype=torch.uint8, device=device.torch)
    part = max(1, _PART // int(np.prod(pictures.shape[1:])))
    stream.expect(pictures, rows)
    for start in range(0, len(rows), part):
        some = slice(start, start + part)
        stored = zip(_stored(pictures, rows[some]), sizes[some].tolist(), strict=True)
        chosen = np.concatenate([row.reshape(-1)[:size] for row, size in stored])
        first = int(ends[start] - sizes[start])
        levels[first : first + len(chosen)].copy_(torch.from_numpy(chosen))
    return Resident(levels, ends - sizes, shapes)


def room(device: Device) -> float:
    """How many bytes of pictures may live on the device; none where its memory is the host's."""
    if device.torch.type != "cuda":
        return 0
    free, _ = torch.cuda.mem_get_info(device.torch)
    return SHARE * free
