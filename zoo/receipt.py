"""What `uv tool install` noted of an environment → the words that say all of it again.

`uv tool` makes an environment what its latest command says, so a command that adds one package has
to repeat whatever an earlier one asked for: packages, interpreter, bounds, indexes and options.
"""

from __future__ import annotations

import os
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit, urlunsplit

from zoo import folders
from zoo.errors import StorageFault
from zoo.files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: arguments of a command
Words = tuple[str, ...]
#: what a receipt lists and the command line takes from a file → the flag
_FROM_FILES = {
    "constraints": "--constraints",
    "overrides": "--overrides",
    "excludes": "--excludes",
    "build-constraint-dependencies": "--build-constraints",
}
#: kinds of reference of a git repository, as a receipt has them in the query of its address
_REFERENCES = ("rev", "tag", "branch")


class Receipt(NamedTuple):
    """A receipt, as words of `uv tool install`.

    Args:
        target: zoo itself.
        held: every other distribution and the words that ask for it.
        options: of the whole: interpreter, constraints, where packages come from.
    """

    target: Words
    held: tuple[tuple[str, Words], ...] = ()
    options: Words = ()


def read(file: str, host: str) -> Receipt:
    """The receipt in a file; one that cannot be read says nothing but the name of zoo itself.

    Args:
        file: uv-receipt.toml of the environment.
        host: the distribution that the environment was made for.
    """
    try:
        noted = tomllib.loads(Path(file).read_text("utf-8")).get("tool", {})
        return _understood(noted, host)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Receipt((host,))


def _understood(noted: Mapping[str, Any], host: str) -> Receipt:
    target: Words = (host,)
    held: dict[str, Words] = {}
    for one in noted.get("requirements", ()):
        editable = "editable" in one
        words = _text(one)
        if one["name"] == host:
            target = ("--editable", words) if editable else (words,)
        else:
            held[one["name"]] = ("--with-editable" if editable else "--with", words)
    for one in noted.get("entrypoints", ()):
        if one.get("from", host) in held:
            held[one["from"]] = (*held[one["from"]][:2], "--with-executables-from", one["from"])
    return Receipt(target, tuple(held.items()), (*_of_environment(noted), *_options(noted)))


# --- requirements ---


def _text(one: Mapping[str, Any]) -> str:
    """A requirement as it is typed, from the table that uv makes of it."""
    if "editable" in one:
        return str(one["editable"])
    extras = f"[{','.join(one['extras'])}]" if one.get("extras") else ""
    named = f"{one['name']}{extras}"
    marker = f" ; {one['marker']}" if one.get("marker") else ""
    place = one.get("directory") or one.get("path") or one.get("url")
    if one.get("git"):
        place = _repository(str(one["git"]))
    if place:
        return f"{named} @ {_address(str(place))}{marker}"
    return f"{named}{one.get('specifier', '')}{marker}"


def _address(place: str) -> str:
    return Path(place).as_uri() if os.path.isabs(place) else place  # noqa: PTH117 - it may be a URL


def _repository(noted: str) -> str:
    """`https://host/repo?rev=main&subdirectory=x#COMMIT` as requirements have it."""
    parts = urlsplit(noted)
    asked = parse_qs(parts.query)
    reference = next((f"@{asked[kind][0]}" for kind in _REFERENCES if kind in asked), "")
    inside = f"#subdirectory={asked['subdirectory'][0]}" if "subdirectory" in asked else ""
    return f"git+{urlunsplit((*parts[:3], '', ''))}{reference}{inside}"


# --- the rest ---


def _of_environment(noted: Mapping[str, Any]) -> Iterator[str]:
    """The interpreter, and what bounds the versions."""
    if noted.get("python"):
        yield from ("--python", str(noted["python"]))
    for key, flag in _FROM_FILES.items():
        if noted.get(key):
            lines = [one if isinstance(one, str) else _text(one) for one in noted[key]]
            yield from (flag, _written(key, lines))


def _written(key: str, lines: list[str]) -> str:
    """A file of requirements in the user's configuration folder, for a command to name."""
    file = folders.config() / f"uv-tool-{key}.txt"
    with suppress(OSError, StorageFault):  # then uv will say that it is not there
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, "".join(f"{line}\n" for line in lines))
    return str(file)


def _options(noted: Mapping[str, Any]) -> Iterator[str]:
    """The table of options: most have a flag by the same name, the others are those of uv 0.13."""
    given = dict(noted.get("options", {}))
    for one in given.pop("index", ()):
        name = f"{one['name']}=" if one.get("name") else ""
        yield from ("--default-index" if one.get("default") else "--index", f"{name}{one['url']}")
    # A span goes with the date that it came to be; the span is what was asked for.
    if span := given.pop("exclude-newer-span", None):
        given["exclude-newer"] = span
    isolation = given.pop("build-isolation", None)
    if isolation == "shared":
        yield "--no-build-isolation"
    elif isinstance(isolation, dict):
        given["no-build-isolation-package"] = isolation.get("shared-package", ())
    given["config-setting"] = given.pop("config-settings", {})
    packages = given.pop("config-settings-package", {})
    given["config-settings-package"] = {
        f"{package}:{key}": value
        for package, table in packages.items()
        for key, value in table.items()
    }
    for name, value in given.items():
        yield from _flag(f"--{name}", value)


def _flag(flag: str, value: object) -> Iterator[str]:
    """A flag as often as its value wants it: true, a text, texts, or a table of them."""
    if value is True:
        yield flag
    elif isinstance(value, str):
        yield from (flag, value)
    elif isinstance(value, list):
        for one in value:
            yield from _flag(flag, one)
    elif isinstance(value, dict):
        for key, inner in value.items():
            told = inner["span"] if isinstance(inner, dict) and "span" in inner else inner
            for one in told if isinstance(told, list) else [told]:
                if isinstance(one, str):
                    yield from (flag, f"{key}={one}")
