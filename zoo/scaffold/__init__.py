"""A name and the kinds of what it shall offer → a plugin package to begin with.

The templates are the files beside this one, filled in by `string.Template`; those of `common` are
in every package, those of a kind in the ones that offer it. What comes out passes its own tests
and zoo's kit, and the guide in `plugins/README.md` walks through it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from zoo import __version__
from zoo.components import KINDS
from zoo.errors import CannotCreate, UsageError
from zoo.files import new_folder, write_text
from zoo.owners import FIRST_PARTY
from zoo.plugins.distributions import HOST, normalised

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from zoo.components import Kind

#: what runs the package's tests
TESTER = "pytest>=9.0"
_PREFIX = "zoo-"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
#: what a package offers of each kind, and what stands in a spec where it offers none
_COMPONENTS: dict[Kind, str] = {"backbone": "convnet", "head": "cosine", "loss": "focal"}
_OTHERS: dict[Kind, str] = {"backbone": "lite0", "head": "linear", "loss": "ce"}
#: file of every package → template
_COMMON = {
    "pyproject.toml": "pyproject.toml",
    "LICENSE": "LICENSE",
    ".gitignore": "gitignore",
    ".github/workflows/test.yml": "test.yml",
    "tests/test_contract.py": "test_contract.py",
}


@dataclass(frozen=True, slots=True)
class Package:
    """A plugin that is to be written.

    Args:
        distribution: `zoo-acme`, as it is installed and published.
        kinds: of what it offers, in the order of a spec; one or more.
    """

    distribution: str
    kinds: tuple[Kind, ...]

    @property
    def namespace(self) -> str:
        """`acme`, as specs write it."""
        return self.distribution.removeprefix(_PREFIX)

    @property
    def module(self) -> str:
        """`zoo_acme`, as Python imports it."""
        return self.distribution.replace("-", "_")

    @property
    def components(self) -> dict[Kind, str]:
        """Kind → full name, such as `acme/cosine`."""
        return {kind: f"{self.namespace}/{_COMPONENTS[kind]}" for kind in self.kinds}

    @property
    def spec(self) -> str:
        """One that uses all that the package offers."""
        return "+".join((_OTHERS | self.components)[kind] for kind in KINDS)

    @property
    def how(self) -> str:
        """What a run of the spec needs besides: a backbone without weights is trained whole."""
        return " --weights none --train full" if "backbone" in self.kinds else ""


def package(name: str, kinds: Iterable[Kind], taken: Sequence[str] = ()) -> Package:
    """What `zoo plugins new` shall write.

    Args:
        name: of the namespace (`acme`) or of the distribution (`zoo-acme`).
        kinds: one or more.
        taken: distributions that are installed as plugins.

    Raises:
        UsageError: the name is not of the form that a namespace has, or is somebody's already.
    """
    wanted = tuple(kind for kind in KINDS if kind in {*kinds})
    found = Package(name if name.startswith(_PREFIX) else f"{_PREFIX}{name}", wanted)
    if not _NAME.fullmatch(found.namespace):
        clean = re.sub(
            r"^[^a-z]+|[^a-z0-9-]", "", normalised(name).removeprefix(_PREFIX).strip("-")
        )
        raise UsageError(
            f"{name!r} is no name for a plugin: it is made of a-z, 0-9 and single dashes, "
            "and begins with a letter.",
            hint=" --kind ".join([f"Try: zoo plugins new {clean or 'acme'}", *wanted]),
        )
    if found.namespace in FIRST_PARTY or found.distribution == HOST:
        raise UsageError(
            f"The name {found.namespace!r} is zoo's own.",
            hint="Choose one that tells who offers it.",
        )
    for one in taken:
        if one.removeprefix(_PREFIX) == found.namespace:
            hint = "Choose another name, or uninstall it first: of two with one name, none is used."
            raise UsageError(f"{one}, which is installed, has this name already.", hint=hint)
    return found


def written(wanted: Package) -> dict[str, str]:
    """The files of the package: path within it → text, in the order to read them."""
    values = {
        "distribution": wanted.distribution,
        "namespace": wanted.namespace,
        "module": wanted.module,
        "summary": _summary(wanted),
        "spec": wanted.spec,
        "how": wanted.how,
        "tester": TESTER,
        "api": ".".join(__version__.split(".")[:2]),
    }

    def filled(*place: str) -> str:
        template = files(__name__).joinpath(*place[:-1], f"{place[-1]}.tmpl")
        return Template(template.read_text("utf-8")).substitute(values)

    source = f"src/{wanted.module}"
    hooks = [filled(kind, "hook.py") for kind in wanted.kinds]
    told = [filled(kind, "README.md") for kind in wanted.kinds]
    found = {
        "README.md": "".join(
            [filled("common", "README.md"), *told, filled("common", "end_of_README.md")]
        ),
        f"{source}/__init__.py": "\n\n".join([filled("common", "__init__.py"), *hooks]),
    }
    for kind in wanted.kinds:
        name = _COMPONENTS[kind]
        found[f"{source}/{name}.py"] = filled(kind, f"{name}.py")
        found[f"tests/test_{name}.py"] = filled(kind, f"test_{name}.py")
    return found | {file: filled("common", template) for file, template in _COMMON.items()}


def write(wanted: Package, folder: Path) -> tuple[str, ...]:
    """Put the package into a folder that is not there or is empty.

    Returns:
        The files, as paths within it.

    Raises:
        CannotCreate: the folder is not empty, or is no folder.
        StorageFault: it cannot be written.
    """
    found = written(wanted)
    if folder.is_dir() and not any(folder.iterdir()):
        _fill(folder, found)  # it may be somebody's working directory: it stays the one it is
    elif folder.exists() or folder.is_symlink():
        problem = "is not empty" if folder.is_dir() else "is there, and is no folder"
        hint = "Choose another folder with --into; nothing was written."
        raise CannotCreate(f"{folder} {problem}.", hint=hint)
    else:
        with new_folder(folder) as draft:
            _fill(draft, found)
    return tuple(found)


def _fill(folder: Path, found: dict[str, str]) -> None:
    for name, text in found.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, text)


def _summary(wanted: Package) -> str:
    """`"The head cosine"`, `"The backbone convnet and the loss focal"`."""
    named = [f"the {kind} {_COMPONENTS[kind]}" for kind in wanted.kinds]
    told = " and ".join([", ".join(named[:-1]), named[-1]] if named[1:] else named)
    return told[0].upper() + told[1:]
