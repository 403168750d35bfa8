"""What runs in a decoding child: requests in, replies out, pixels into given files.

Requests and replies are lines of JSON. The first request says what all files are to become::

    {"preprocess": {...}, "canvas_side": S, "pixels": FILE, "canvases": FILE}  →  {"ready": true}

and every other one names a file and the rows to fill (-1: not wanted)::

    {"path": FILE, "pixels": ROW, "canvas": ROW, "sha256": HEX or ""}
        →  {"size": [width, height]}
        or {"reason": why it cannot be decoded}
        or {"fault": why the result cannot be written}
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from zoo.components import preprocess_from_json
from zoo.data.decode import Undecodable
from zoo.data.preprocess import prepare
from zoo.data.scratch import put

if TYPE_CHECKING:
    from collections.abc import Mapping


def main() -> None:
    """Answer requests until the pipe closes."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a C library prints must not mix with the replies
    header = json.loads(sys.stdin.buffer.readline())
    files = [Path(name) if (name := header[kind]) else None for kind in ("pixels", "canvases")]
    _say(replies, {"ready": True})
    for line in sys.stdin.buffer:
        _say(replies, _answer(header, json.loads(line), files))


def _answer(
    header: Mapping[str, Any], request: Mapping[str, Any], files: list[Path | None]
) -> dict[str, Any]:
    wanted = preprocess_from_json(header["preprocess"]) if request["pixels"] >= 0 else None
    side = header["canvas_side"] if request["canvas"] >= 0 else 0
    try:
        made = prepare(Path(request["path"]), wanted, side, request["sha256"])
    except Undecodable as error:
        return {"reason": error.reason}
    try:
        for file, row, array in zip(
            files,
            (request["pixels"], request["canvas"]),
            (made.pixels, made.canvas),
            strict=True,
        ):
            if file and array is not None:
                put(file, row, array)
    except OSError as error:
        return {"fault": error.strerror or str(error)}
    return {"size": made.size}


def _say(replies: BinaryIO, message: Mapping[str, object]) -> None:
    replies.write(json.dumps(message).encode() + b"\n")
    replies.flush()


if __name__ == "__main__":
    main()
