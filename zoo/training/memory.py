"""When memory runs out: the same work once more, in smaller pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from zoo.errors import OutOfMemory
from zoo.training.device import is_out_of_memory, release

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


T = TypeVar("T")


def fitting(
    attempt: Callable[[int], T],
    most: int,
    *,
    device: torch.device,
    least: int = 1,
    undo: Callable[[], None] = lambda: None,
    why: str = "",
) -> tuple[T, int]:
    """Do something on at most `most` images at once, halved for as long as memory runs out.

    Args:
        attempt: does it, given how many images to take at once.
        most: so many at first.
        device: whose memory it is.
        least: so many are not halved any more.
        undo: puts back what an attempt that ran out of memory has changed.
        why: what keeps `least` from being halved, for the message.

    Returns:
        What it gave, and how many images at once that took.

    Raises:
        OutOfMemory: there is none for `least` images either.
    """
    while True:
        try:
            return attempt(most), most
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if most // 2 < least:
                images, hint = (
                    f"{most} images at once",
                    "Use a smaller --batch-size or --image-size.",
                )
                if most == 1:  # which no batch can be smaller than
                    images = "one image"
                    hint = "Use a smaller --image-size, a smaller backbone or another --device."
                raise OutOfMemory(
                    f"The device has not enough memory for {images}{why}.", hint=hint
                ) from error
        # Here, and not in the handler above: the error's traceback held the attempt's tensors.
        release(device)
        undo()
        most //= 2
