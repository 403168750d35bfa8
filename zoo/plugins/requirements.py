"""Whether what a plugin requires is installed, in a version that it takes: by metadata alone."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from zoo import __version__, installer
from zoo.errors import Unavailable
from zoo.hooks import GROUP
from zoo.installer import HOST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.specifiers import SpecifierSet


class Unmet(NamedTuple):
    """A requirement that this environment does not meet.

    Args:
        text: as it is written, less its marker.
        name: of the distribution that is required, normalised.
        installed: its version; empty where it is not installed.
        allowed: the versions that would do.
    """

    text: str
    name: str
    installed: str
    allowed: SpecifierSet

    def __str__(self) -> str:
        """As a clause: `requires timm>=99, and timm is 1.0.27`."""
        if self.name == HOST:
            return f"requires {self.text}, and this is {HOST} {self.installed}"
        return f"requires {self.text}, and {self.name} is {self.installed or 'not installed'}"


class Pin(NamedTuple):
    """What an installed distribution says of another one.

    Args:
        owner: name and version.
        text: the requirement.
        allowed: the versions that it allows.
    """

    owner: str
    text: str
    allowed: SpecifierSet


def unmet(texts: Iterable[str]) -> Iterator[Unmet]:
    """Those of some PEP 508 requirements that are missing or of another version.

    Of several copies on the path one that will do is enough: an impostor's may hide the real one's.
    Those whose marker does not hold here, or that belong to an extra, are left out, as is what
    cannot be read: that is for the installer to say.
    """
    for wanted in _requirements(texts):
        allowed, versions = wanted.specifier, _versions(wanted.name)
        if not any(_suits(version, allowed) for version in versions):
            name = canonicalize_name(wanted.name)
            yield Unmet(f"{wanted.name}{allowed}", name, next(iter(versions), ""), allowed)


def refuse_unmet(who: str, texts: Iterable[str]) -> None:
    """Look for what somebody requires.

    Args:
        who: the beginning of the sentence.
        texts: PEP 508 requirements.

    Raises:
        Unavailable: some are not met; all of them are named, with the line that installs them.
    """
    missing = [*unmet(texts)]
    if missing:
        told = "; it ".join(map(str, missing))
        line = installer.to_install(*(one.text for one in missing))
        raise Unavailable(f"{who} {told}.", hint=line)


def fault(distribution: str) -> dict[str, Any] | None:
    """Why a plugin's own requirements keep it out, as the problem of its record; None if nothing.

    Args:
        distribution: the plugin's.

    Returns:
        `{"reason", "detail", "lasting", "wants"}`: `wants` is what to install; it is empty where
        another distribution excludes it, which is then named.
    """
    missing = [*unmet(_requires(distribution))]
    if not missing:
        return None
    pairs = {one: _excluding(one, distribution) for one in missing}
    told = [f"it {one}{_of_pair(pairs[one])}" for one in missing]
    more = f" (and {len(told) - 1} more)" if told[1:] else ""
    excluded = any(pairs.values())
    return {
        "reason": f"{told[0]}{more}",
        "detail": "\n".join(told) if more else "",
        "lasting": True,
        "wants": [] if excluded else [one.text for one in missing],
    }


def exclusive(one: SpecifierSet, other: SpecifierSet) -> bool:
    """Whether no version satisfies both.

    Specifiers bound versions from below and above, or exclude single ones: if any version does, one
    at a bound does, or right beside it.
    """
    both = one & other
    return not any(both.contains(version, prereleases=True) for version in _beside_bounds(both))


def _of_pair(pin: Pin | None) -> str:
    return f", which {pin.owner} requires ({pin.text}): no version suits both" if pin else ""


def _excluding(missing: Unmet, distribution: str) -> Pin | None:
    """Who requires a version that this requirement excludes, among zoo and all plugins."""
    if not missing.installed:
        return None
    for other in metadata.distributions():
        name = canonicalize_name(other.metadata["Name"] or "")
        if name == distribution or not (name == HOST or _is_plugin(other)):
            continue
        for wanted in _requirements(other.requires or ()):
            if canonicalize_name(wanted.name) == missing.name and exclusive(
                wanted.specifier, missing.allowed
            ):
                text = f"{wanted.name}{wanted.specifier}"
                return Pin(f"{name} {other.version}", text, wanted.specifier)
    return None


def _is_plugin(distribution: metadata.Distribution) -> bool:
    return any(point.group == GROUP for point in distribution.entry_points)


def _beside_bounds(specifiers: SpecifierSet) -> Iterator[Version]:
    """Each bound, a version right above it and one right below, and one above and below all."""
    yield from (Version("0"), Version("99999"))
    for specifier in specifiers:
        try:
            bound = Version(specifier.version.removesuffix(".*"))
        except InvalidVersion:  # of `===`, which compares texts
            continue
        yield bound
        release = bound.release
        yield from (Version(f"{bound.epoch}!{_dotted(release)}.{zeros}1") for zeros in ("", "0."))
        yield Version(f"{bound.epoch}!{_dotted((*release[:-1], release[-1] + 1))}")
        last = max((at for at, part in enumerate(release) if part), default=-1)
        if last >= 0:
            yield Version(f"{bound.epoch}!{_dotted((*release[:last], release[last] - 1))}.99999")


def _suits(version: str, allowed: SpecifierSet) -> bool:
    """Whether an installed version is allowed; one that is none suits whoever takes any."""
    try:
        return allowed.contains(version, prereleases=True)
    except InvalidVersion:
        return not len(allowed)


def _dotted(release: tuple[int, ...]) -> str:
    return ".".join(map(str, release))


def _requirements(texts: Iterable[str]) -> Iterator[Requirement]:
    """Those that can be read and hold here, outside of extras."""
    for text in texts:
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            yield wanted


def _requires(distribution: str) -> list[str]:
    try:
        return metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return []


def _versions(name: str) -> list[str]:
    """Of each copy on the path, the one that counts first."""
    if canonicalize_name(name) == HOST:
        return [__version__]
    found = (copy.metadata["Version"] for copy in metadata.distributions(name=name))
    return [version for version in found if version]
