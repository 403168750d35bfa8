"""Names of metrics as MLflow takes them: no two names become one, and usual ones stay as they are.

MLflow takes letters and digits of any script, `_`, `-`, `.`, blanks and `:`, in parts between `/`
that make a path, and no more than 250 characters. Names hold those of classes, which are folders'
names, and so anything. What is not taken is written between colons as its code point in hex:
`a%b` is `a:25:b`, and a colon itself `:3a:`.
"""

from __future__ import annotations

import hashlib
import re

#: what MLflow does not take, and the colon, which begins what was rewritten
_STRANGE = re.compile(r"[^\w.\- ]")
#: MLflow's limit, characters
LONGEST = 250


def spelt(name: str) -> str:
    """A name as MLflow takes it; what is longer than it takes ends in a hash of the whole."""
    found = "/".join(map(_part, name.split("/")))
    if len(found) <= LONGEST:
        return found
    mark = f":sha256-{hashlib.sha256(found.encode()).hexdigest()[:16]}:"
    return found[: LONGEST - len(mark)].rstrip("/") + mark


def _part(part: str) -> str:
    """A part between slashes: not empty, not `.`, and beginning with no `..`: MLflow's paths."""
    if not part:
        return "::"
    if part == "." or part.startswith(".."):
        return _code(".") + _part(part[1:]) if part[1:] else _code(".")
    return _STRANGE.sub(lambda found: _code(found[0]), part)


def _code(character: str) -> str:
    return f":{ord(character):x}:"
