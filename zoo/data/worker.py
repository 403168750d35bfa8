"""What runs in a decoding child: requests in, replies out, pixels into given files.

Requests and replies are lines of JSON. The first request says what all files are to become::

    {"preprocess": {...}, "canvas_side": S, "pixels": FILE, "canvases": FILE}  →  {"ready": true}

and every other one names a file and the rows to fill (-1: not wanted)::

    {"path": FILE, "pixels": ROW, "canvas": ROW, "sha256": HEX or null for any}
        →  {"size": [width, height], "animated": whether there are more frames than the first,
            "crc": [CRC-32 of the row of pixels, and of the canvas; null: not wanted]}
        or {"reason": why it cannot be decoded, or is not the file that it was}
        or {"fault": why the result cannot be written}
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from zoo.components import preprocess_from_json
from zoo.data.decode import Undecodable, read
from zoo.data.preprocess import prepare
from zoo.data.scratch import put

if TYPE_CHECKING:
    from collections.abc import Mapping

#: what a child may take of the address space, bytes: the largest picture that zoo takes needs
#: 2.6 GB in the costliest mode, 32-bit integers
MEMORY = 4 << 30
#: of prctl(2)
_PDEATHSIG = 1


def main() -> None:
    """Answer requests until the pipe closes."""
    _limit_resources()
    _end_with_parent()
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a C library prints must not mix with the replies
    header = json.loads(sys.stdin.buffer.readline())
    _say(replies, {"ready": True})
    for line in sys.stdin.buffer:
        _say(replies, answer(header, json.loads(line)))


def answer(header: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """The reply to a request; what is made goes into the header's files."""
    wanted = preprocess_from_json(header["preprocess"]) if request["pixels"] >= 0 else None
    side = header["canvas_side"] if request["canvas"] >= 0 else 0
    try:
        data = read(Path(request["path"]))
        if request["sha256"] not in {None, hashlib.sha256(data).hexdigest()}:
            return {"reason": "it changed while the images were being read"}
        made = prepare(data, wanted, side)
    except Undecodable as error:
        return {"reason": error.reason}
    except MemoryError:
        return {"reason": "scaling it takes too much memory"}
    crcs: list[int | None] = [None, None]
    try:
        if made.pixels is not None:
            start = request["pixels"] * made.pixels.nbytes
            crcs[0] = put(Path(header["pixels"]), start, made.pixels)
        if made.canvas is not None:
            start = request["canvas"] * made.canvas.nbytes
            crcs[1] = put(Path(header["canvases"]), start, made.canvas)
    except OSError as error:
        return {"fault": error.strerror or str(error)}
    return {"size": made.size, "animated": made.animated, "crc": crcs}


def _limit_resources() -> None:
    """Bound the memory, and leave no core dump in the user's folder (where there are limits)."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        for what, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, MEMORY)):
            _, hard = resource.getrlimit(what)
            resource.setrlimit(what, (most if hard < 0 else min(most, hard), hard))


def _end_with_parent() -> None:
    """Be killed when the run is, even in the middle of a picture (on Linux; else at its end).

    The kernel goes by the thread that started this process, which waits for it as long as it lives.
    """
    with suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)


def _say(replies: BinaryIO, message: Mapping[str, object]) -> None:
    replies.write(json.dumps(message).encode() + b"\n")
    replies.flush()


if __name__ == "__main__":
    main()
