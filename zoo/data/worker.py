"""What runs in a decoding child: requests in, replies out, pixels into the parent's scratch files.

Requests and replies are lines of JSON. The first request says what all files are to become::

    {"preprocess": {...}, "canvas_side": S, "pixels": FILE, "canvases": FILE}  →  {"ready": true}

and every other one names a file and the rows to fill (-1: not wanted)::

    {"path": FILE, "pixels": ROW, "canvas": ROW}  →  {"size": [width, height]}
                                                  or {"reason": why it cannot be decoded}
                                                  or {"fault": why the result cannot be written}
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from zoo.components import preprocess_from_json
from zoo.data.decode import Undecodable
from zoo.data.preprocess import prepare

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import RawIOBase

    import numpy as np
    from numpy.typing import NDArray


def main() -> None:
    """Answer requests until the pipe closes."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a C library prints must not mix with the replies
    header = json.loads(sys.stdin.buffer.readline())
    with ExitStack() as stack:
        files = [
            cast("RawIOBase", stack.enter_context(Path(header[name]).open("r+b", buffering=0)))
            for name in ("pixels", "canvases")
        ]
        _say(replies, {"ready": True})
        for line in sys.stdin.buffer:
            _say(replies, _answer(header, json.loads(line), files))


def _answer(
    header: Mapping[str, Any], request: Mapping[str, Any], files: list[RawIOBase]
) -> dict[str, Any]:
    wanted = preprocess_from_json(header["preprocess"]) if request["pixels"] >= 0 else None
    side = header["canvas_side"] if request["canvas"] >= 0 else 0
    try:
        made = prepare(Path(request["path"]), wanted, side)
    except Undecodable as error:
        return {"reason": error.reason}
    try:
        _write(files[0], request["pixels"], made.pixels)
        _write(files[1], request["canvas"], made.canvas)
    except OSError as error:
        return {"fault": error.strerror or str(error)}
    return {"size": made.size}


def _say(replies: BinaryIO, message: Mapping[str, object]) -> None:
    replies.write(json.dumps(message).encode() + b"\n")
    replies.flush()


def _write(stream: RawIOBase, row: int, array: NDArray[np.uint8] | None) -> None:
    """Put an array at its row of a scratch file; an unbuffered write may need several goes."""
    if array is None:
        return
    stream.seek(row * array.nbytes)
    rest = array.tobytes()
    while rest:
        rest = rest[stream.write(rest) or 0 :]


if __name__ == "__main__":
    main()
