"""Dropout as heads use it: in law that of `torch.nn.Dropout`, a sixth of its time on a CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

#: values of the 16 bits that decide on an entry
_VALUES = 2**16


class Dropout(nn.Module):
    """Sets each entry to zero with a probability, in training, and scales the others to make up.

    On a CPU torch draws a number of 53 bits for each entry, which takes longer than all else that a
    head does. Here 64 random bits decide on four entries, so that the probability is the nearest
    multiple of 2⁻¹⁶; the scale goes by it, and the mean of an entry is exactly what it was. The
    bits are those of torch's generator. Other devices have one kernel for all of it.
    """

    def __init__(self, probability: float) -> None:
        """`probability` in 0..0.9, of an entry to become zero."""
        super().__init__()
        self.probability = probability

    def forward(self, entries: Tensor) -> Tensor:
        """A tensor of any shape → one of the same shape and type."""
        if not self.training or not self.probability:
            return entries
        if entries.device.type != "cpu":
            return nn.functional.dropout(entries, self.probability)
        dropped = round(self.probability * _VALUES)
        count = entries.numel()
        words = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        bits = words.view(torch.int16)[:count].view(entries.shape)
        # Compared as float32, which holds them exactly: the comparison of integers takes longer.
        kept = bits.float().ge_(dropped - _VALUES // 2)
        return entries * kept.mul_(_VALUES / (_VALUES - dropped)).to(entries.dtype)

    def extra_repr(self) -> str:
        """What torch prints in the parentheses."""
        return f"p={self.probability}"
