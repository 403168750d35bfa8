"""The pictures that steps read: on the device where they fit, else sent ahead of their step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from zoo.data import stream

if TYPE_CHECKING:
    from zoo.training.device import Device

#: of the device's free memory, what pictures may take; the rest is for training
SHARE = 0.4
#: pictures go to the device in parts of so many bytes
_PART = 64 * 2**20


class Pictures(Protocol):
    """Pictures of the same shape, by sample."""

    def gather(self, samples: np.ndarray) -> Tensor:
        """Those of some samples, uint8 `[B, S, S, 3]`, on the device."""

    def begin(self, samples: np.ndarray) -> None:
        """Told all samples that will be asked for next, in their order."""

    def expect(self, samples: np.ndarray) -> None:
        """Told which samples the next `gather` is for, while the device is still at work."""


@dataclass(frozen=True, slots=True)
class Resident:
    """All pictures `[n, S, S, 3]` are on the device."""

    pictures: Tensor

    def gather(self, samples: np.ndarray) -> Tensor:
        """One gather on the device."""
        rows = torch.from_numpy(np.asarray(samples))
        return self.pictures[rows.to(self.pictures.device, non_blocking=True)]

    def begin(self, samples: np.ndarray) -> None:
        """Nothing is to be done for what is there."""

    def expect(self, samples: np.ndarray) -> None:
        """Nor here."""


@dataclass(slots=True)
class Streamed:
    """Pictures stay on the host; a batch is sent while the device computes the one before it.

    Args:
        pictures: uint8 `[m, S, S, 3]`, mostly a memory map; a stream where not all are kept.
        rows: row of each of n samples in them.
        device: where they go.
    """

    pictures: np.ndarray
    rows: np.ndarray
    device: Device
    _ahead: tuple[np.ndarray, Tensor] | None = None
    _stream: torch.cuda.Stream | None = field(default=None, repr=False)

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
        read = torch.empty(
            (len(samples), *self.pictures.shape[1:]), dtype=torch.uint8, pin_memory=pinned
        )
        self.pictures.take(self.rows[samples], axis=0, out=read.numpy(), mode="clip")
        return read


def placed(pictures: np.ndarray, rows: np.ndarray, device: Device) -> Resident | Streamed:
    """Pictures that every epoch reads, resident where they fit into a share of the device's memory.

    On a CPU the memory map is resident as it is.

    Args:
        pictures: uint8 `[m, S, S, 3]`.
        rows: row of each sample in them; only these go to the device.
        device: where they go.
    """
    each = int(np.prod(pictures.shape[1:]))
    if len(rows) * each > room(device):
        return Streamed(pictures, rows, device)
    there = torch.empty((len(rows), *pictures.shape[1:]), dtype=torch.uint8, device=device.torch)
    part = max(1, _PART // each)
    stream.expect(pictures, rows)
    for start in range(0, len(rows), part):
        chosen = pictures[rows[start : start + part]]
        there[start : start + part].copy_(torch.from_numpy(chosen))
    return Resident(there)


def room(device: Device) -> float:
    """How many bytes of pictures may live on the device; none where its memory is the host's."""
    if device.torch.type != "cuda":
        return 0
    free, _ = torch.cuda.mem_get_info(device.torch)
    return SHARE * free
