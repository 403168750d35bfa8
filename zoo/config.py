"""The user's `config.toml`: lists of names, edited by commands, the rest left as it is written."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from zoo import folders, toml
from zoo.errors import StorageFault, UsageError
from zoo.files import write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: key → what each name in its list looks like, and an example
_LISTS = {
    "prefer": (re.compile(r"[^/]+/.+"), "full names", "timm/resnet18"),
    "disabled": (re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*"), "distributions", "zoo-acme"),
}


def file() -> Path:
    """Where it lies."""
    return folders.config() / folders.CONFIG


def names(key: str) -> tuple[str, ...]:
    """The list `prefer` or `disabled`, in its order; empty where it or the file is not there.

    Raises:
        UsageError: the file is not TOML, or holds something else under that key.
        StorageFault: it cannot be read.
    """
    path = file()
    if not path.exists():
        return ()
    document = toml.read(path, label=str(path))
    found = document.values.get(key, [])
    form, what, example = _LISTS[key]
    if not isinstance(found, list) or not all(
        isinstance(one, str) and form.fullmatch(one) for one in found
    ):
        raise UsageError(
            f"{document.at(key)}: {key} wants a list of {what}, not {found!r:.60}.",
            hint=f'For example: {key} = ["{example}"]',
        )
    return tuple(found)


def write_names(key: str, listed: Sequence[str]) -> None:
    """Replace one list; whatever else the file holds stays as it is written.

    Raises:
        UsageError: the file holds the list in a form that cannot be edited safely.
        StorageFault: it cannot be written.
    """
    import tomllib

    path = file()
    text = path.read_text("utf-8") if path.exists() else ""
    line = f"{key} = [{', '.join(json.dumps(name) for name in listed)}]\n"
    written = re.compile(rf"^{key}\s*=\s*\[[^\]]*\][^\S\n]*\n?", re.MULTILINE)
    rest = written.sub("", text, count=1)
    try:
        # The list was found by its looks; only a second reading tells that nothing else was hit.
        kept = tomllib.loads(text) | {key: list(listed)} == tomllib.loads(line + rest)
    except tomllib.TOMLDecodeError:
        kept = False
    if not kept:
        raise UsageError(f"{path} cannot be edited by zoo.", hint=f"Write into it: {line.strip()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFault(f"Cannot make {path.parent}: {error.strerror or error}.") from error
    write_text(path, line + rest)
