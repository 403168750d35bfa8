"""What a run stands on beside its plan: plugins, libraries, files; and what of it is another now.

A record of it lies in plan.json. A stored one may come from a stranger: nothing in it is taken for
anything but a name, a version or a hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import platform
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from zoo import __version__, installer
from zoo.errors import Mismatch
from zoo.installer import HOST
from zoo.plugins import contents
from zoo.plugins.distributions import sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from zoo.plan import Plan

#: where a run keeps its finished model, and what that says of itself
MODEL, MODEL_CARD = "model", "model.json"
#: whose versions every run records
PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "safetensors")
#: those of them that compute in every run, whatever plugins it uses
DECIDING = ("numpy", "pillow", "torch")
#: what of a device decides its numbers
_COMPUTES = ("name", "title", "precision", "channels_last", "threads")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*|of unknown version")
_HASH, _COMMIT = re.compile(r"[0-9a-f]{64}|"), re.compile(r"[0-9a-f]{40}|")


@dataclass(frozen=True, slots=True)
class Used:
    """A distribution that a run uses: zoo itself, or a plugin.

    Args:
        name: normalised.
        version: as its metadata states it.
        sha256: over its installed files, hex; empty where it is not known.
        requirement: what an installer must be told to have it.
        libraries: distributions that a plugin requires; of zoo's own, some always count.
    """

    name: str
    version: str
    sha256: str
    requirement: str
    libraries: tuple[str, ...] = ()


class Drift(NamedTuple):
    """One thing that is not as it was when a run began.

    Args:
        told: what it was, and what it is.
        wanted: the requirement that brings it back; empty where no installer can.
    """

    told: str
    wanted: str = ""


class Loaded(NamedTuple):
    """The file of weights that a run loaded; it is known only once it was fetched.

    Args:
        sha256: of it, hex; empty where nothing is on record.
        commit: the hub's that it is of, 40 hex digits; empty of another source.
    """

    sha256: str = ""
    commit: str = ""

    def to_json(self) -> dict[str, str]:
        """As plan.json has it."""
        return self._asdict()


#: before it is loaded
NOT_YET = Loaded()


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a run stands on.

    Args:
        zoo: its version.
        python: likewise.
        packages: library → version.
        used: zoo and the plugins that the plan uses or that observe the run, by name.
        files: what the user named → SHA-256 of it, hex: `weights` of a file, the `teacher`'s card.
        loaded: the file of weights that was loaded, whoever named it; the run folder writes it.
    """

    zoo: str
    python: str
    packages: Mapping[str, str]
    used: Mapping[str, Used]
    files: Mapping[str, str]
    loaded: Loaded = NOT_YET

    def to_json(self) -> dict[str, Any]:
        """As plan.json has it, beside the plan."""
        used = {
            name: {
                "version": one.version,
                "sha256": one.sha256,
                "requirement": one.requirement,
                "libraries": list(one.libraries),
            }
            for name, one in self.used.items()
        }
        return {
            "zoo": self.zoo,
            "python": self.python,
            "packages": dict(self.packages),
            "plugins": used,
            "files": dict(self.files),
        }


def of(plan: Plan, observe: Sequence[str] = ()) -> Provenance:
    """What a run of a plan stands on here and now.

    Args:
        plan: as resolved.
        observe: the observers that it was given.
    """
    watching = {name.partition("/")[0] for name in observe}
    watchers = [one.distribution for one in sources() if one.namespace in watching]
    stated = {one.plugin: one.version for one in plan.trio}
    used = {
        name: _used(name, stated.get(name, "of unknown version"))
        for name in dict.fromkeys([HOST, *stated, *watchers])
    }
    libraries = dict.fromkeys(
        [*PACKAGES, *(name for one in used.values() for name in one.libraries)]
    )
    versions = {name: _version(name) for name in libraries}
    return Provenance(
        zoo=__version__,
        python=platform.python_version(),
        packages=stated | {name: found for name, found in versions.items() if found},
        used=used,
        files=_files(plan),
    )


def from_json(record: Mapping[str, Any]) -> Provenance:
    """The inverse of `to_json`; what an older zoo did not write beside its own version is empty.

    Raises:
        Mismatch: a name, a version or a hash is none, or nothing says which zoo it was.
    """
    try:
        return Provenance(
            zoo=_matching(_VERSION, record.get("zoo")),
            python=_matching(_VERSION, record.get("python", "0")),
            packages={
                _matching(_NAME, name): _matching(_VERSION, version)
                for name, version in record.get("packages", {}).items()
            },
            used={
                _matching(_NAME, name): _used_from_json(name, one)
                for name, one in record.get("plugins", {}).items()
            },
            files={
                str(name): _matching(_HASH, one) for name, one in record.get("files", {}).items()
            },
            loaded=loaded_from_json(record),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"plan.json is damaged: it says {error}."
        raise Mismatch(message, hint="Restore the file, or start a new run.") from error


def loaded_from_json(record: Mapping[str, Any]) -> Loaded:
    """What plan.json says of the weights that were loaded; empty where it says nothing.

    Raises:
        Mismatch: a hash or a commit is none.
    """
    try:
        told = record.get("loaded", NOT_YET.to_json())
        return Loaded(_matching(_HASH, told["sha256"]), _matching(_COMMIT, told["commit"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"plan.json is damaged: it says {error}."
        raise Mismatch(message, hint="Restore the file, or start a new run.") from error


def _used_from_json(name: str, record: Mapping[str, Any]) -> Used:
    return Used(
        name=name,
        version=_matching(_VERSION, record["version"]),
        sha256=_matching(_HASH, record["sha256"]),
        requirement=_requiring(name, record["requirement"]),
        libraries=tuple(_matching(_NAME, one) for one in record["libraries"]),
    )


def _matching(pattern: re.Pattern[str], text: object) -> str:
    if not isinstance(text, str) or not pattern.fullmatch(text):
        message = f"{text!r:.60}"
        raise ValueError(message)
    return text


def _requiring(name: str, text: object) -> str:
    """A requirement of that distribution and no other."""
    try:
        if canonicalize_name(Requirement(str(text)).name) == canonicalize_name(name):
            return str(text)
    except InvalidRequirement:
        pass
    message = f"{text!r:.60} of {name}"
    raise ValueError(message)


def drift(stored: Provenance, plan: Plan) -> list[Drift]:
    """What of a stored run's plugins, libraries and files is another now, or is gone.

    Observers decide nothing, and so are not looked at; nor is a library that no part of the run
    requires.

    Args:
        stored: of the run.
        plan: of the run as well.
    """
    return [*installed_drift(stored, plan), *file_drift(stored, plan)]


def installed_drift(stored: Provenance, plan: Plan) -> list[Drift]:
    """The same of plugins and libraries alone."""
    names = [HOST, *dict.fromkeys(one.plugin for one in plan.trio)]
    known = {one.plugin: one.version for one in plan.trio} | {HOST: stored.zoo}
    was = {
        name: stored.used.get(name) or Used(name, known[name], "", f"{name}=={known[name]}")
        for name in names
    }
    found = [one for name in names for one in _of_distribution(was[name])]
    required = {library for one in was.values() for library in one.libraries}
    for name in sorted({*DECIDING, *required} & {*stored.packages}):
        found += _of_library(name, stored.packages[name])
    return found


def file_drift(stored: Provenance, plan: Plan) -> list[Drift]:
    """The same of the files that the user named beside the images."""
    found: list[Drift] = []
    now = _files(plan)
    for name, before in stored.files.items():
        if now.get(name, "") != before:
            place = plan.teacher if name == "teacher" else plan.weights.file
            found.append(Drift(f"{name}: {place} is {'another' if now.get(name) else 'gone'}"))
    return found


def _of_distribution(was: Used) -> list[Drift]:
    version = __version__ if was.name == HOST else _version(was.name)
    if not version and not was.sha256:
        return []  # it was no distribution then either: the catalog says whether it is there
    if version != was.version:
        # A folder that is worked on does not bring an older version back.
        wanted = f"{was.name}=={was.version}" if "@ file:" in was.requirement else was.requirement
        return [_other(was.name, was.version, version, wanted)]
    sha256 = _used(was.name, version).sha256
    if was.sha256 and sha256 != was.sha256:
        told = f"{was.name} {version}: its files are not those that the run used"
        return [Drift(f"{told}; they were those of {was.requirement}")]
    return []


def _of_library(name: str, before: str) -> list[Drift]:
    version = _version(name)
    return [] if version == before else [_other(name, before, version, f"{name}=={before}")]


def _other(name: str, before: str, now: str, wanted: str) -> Drift:
    if not now:
        return Drift(f"{name} {before} is not installed", wanted)
    return Drift(f"{name} was {before} and is {now}", wanted)


def device_drift(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Drift]:
    """What of the device decides numbers and is another.

    Args:
        before: the device of a stored plan.
        now: of a settled one.
    """
    return [
        *(
            Drift(f"device: its {name} was {before[name]} and is {now.get(name)}")
            for name in _COMPUTES
            if name in before and before[name] != now.get(name)
        ),
        *_processor_drift(before.get("processor"), now.get("processor")),
    ]


def _processor_drift(before: object, now: object) -> list[Drift]:
    """What of a processor came or went; of an older zoo's record nothing is known."""
    if not isinstance(before, list) or not isinstance(now, list) or before == now:
        return []
    had = ", ".join(str(one) for one in before if one not in now)
    has = ", ".join(str(one) for one in now if one not in before)
    told = f"had {had[:200] or 'no more'} and has {has[:200] or 'no more'}"
    return [Drift(f"device: its processor {told}")]


def _used(name: str, stated: str) -> Used:
    """A distribution as it is installed; what is no distribution has but its stated version."""
    try:
        found = metadata.distribution(name)
        version = found.version or stated
    except (metadata.PackageNotFoundError, KeyError):
        version = __version__ if name == HOST else stated
        return Used(name, version, "", f"{name}=={version}")
    return Used(
        name=name,
        version=version,
        sha256=contents.sha256(found),
        requirement=contents.requirement(found),
        libraries=() if name == HOST else tuple(sorted(contents.libraries(found))),
    )


def _version(name: str) -> str:
    try:
        return metadata.version(name) or ""
    except (metadata.PackageNotFoundError, KeyError):
        return ""


def _files(plan: Plan) -> dict[str, str]:
    """SHA-256 of what the user named beside the images; empty of what cannot be read."""
    found = {}
    if plan.weights.mode == "file":
        found["weights"] = _hash(Path(plan.weights.file))
    if plan.teacher:
        found["teacher"] = card_hash(plan.teacher)
    return found


def card_hash(teacher: object) -> str:
    """SHA-256 of the card of a finished run, or of a copy of its model folder; "" without one."""
    for place in (Path(str(teacher)) / MODEL, Path(str(teacher))) if teacher else ():
        with contextlib.suppress(OSError):
            return hashlib.sha256((place / MODEL_CARD).read_bytes()).hexdigest()
    return ""


def _hash(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def install_line(drifts: Iterable[Drift]) -> str:
    """The line that brings back what an installer can; empty where it can nothing."""
    wanted = [one.wanted for one in drifts if one.wanted]
    return installer.to_install(*wanted) if wanted else ""
