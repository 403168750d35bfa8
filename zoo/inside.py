"""A run folder may come from a stranger: it is read from inside itself, and not without end.

That nothing in it can name code is for `zoo.installed` to see to.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from zoo.errors import BadData
from zoo.manifest import refuse_link

if TYPE_CHECKING:
    from pathlib import Path

#: the card of a model of 100,000 classes has some 10 MB
MAX_BYTES = 64_000_000
#: what to do about a file that is damaged
RESTORE = "Restore it from a copy of the run."


def refuse_links(folder: Path) -> None:
    """Refuse a run folder in which something is a link; the folder itself may be reached by one.

    Raises:
        Refused: naming the link.
    """
    for path in sorted(folder.rglob("*")):
        refuse_link(path)


def read_object(path: Path, *, limit: int = MAX_BYTES) -> dict[str, Any]:
    """The JSON object in a file, if it has at most `limit` bytes.

    Raises:
        OSError: it cannot be read.
        BadData: it is too large, nested too deep, or no JSON object.
    """
    with path.open("rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise BadData(f"{path} has more than {limit:,} bytes.", hint=RESTORE)
    try:
        value = json.loads(data)
    except RecursionError as error:
        raise BadData(f"{path} is damaged: it nests its values too deep.", hint=RESTORE) from error
    except ValueError as error:
        raise BadData(f"{path} is damaged: {error}.", hint=RESTORE) from error
    if not isinstance(value, dict):
        raise BadData(f"{path} holds no JSON object.", hint=RESTORE)
    return value
