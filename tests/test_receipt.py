"""The receipts of `uv tool`, as uv 0.13 writes them, and what to type to have the same again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from zoo import receipt
from zoo.installer import in_use, line

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """[tool]
requirements = [
    { name = "zoo-registry" },
    { name = "zoo-acme" },
]
"""
OPTIONS = """
[tool.options]
index = [
    { name = "ours", url = "https://a.example/simple", explicit = false, default = false },
    { url = "https://b.example/simple", explicit = false, default = true },
]
extra-index-url = ["https://c.example/simple"]
find-links = ["file:///w"]
index-strategy = "unsafe-best-match"
prerelease = "allow"
prerelease-package = { acme = "allow" }
config-settings = { a = ["b", "c"], d = "e" }
config-settings-package = { acme = { x = "y" } }
build-isolation = { shared-package = ["acme"] }
exclude-newer = "2026-11-22T10:48:41.642044305Z"
exclude-newer-span = "P3D"
exclude-newer-package = { one = "2026-10-02T00:00:00Z", two = { timestamp = "2026", span = "P1D" } }
compile-bytecode = true
no-build = false
no-binary-package = ["one", "two"]
"""
TYPED = """
--index ours=https://a.example/simple --default-index https://b.example/simple
--extra-index-url https://c.example/simple --find-links file:///w
--index-strategy unsafe-best-match --prerelease allow --prerelease-package acme=allow
--exclude-newer P3D --exclude-newer-package one=2026-10-02T00:00:00Z
--exclude-newer-package two=P1D --compile-bytecode --no-binary-package one
--no-binary-package two --no-build-isolation-package acme --config-setting a=b
--config-setting a=c --config-setting d=e --config-settings-package acme:x=y
"""


def read(folder: Path, text: str) -> receipt.Receipt:
    file = folder / "uv-receipt.toml"
    file.write_text(text)
    return receipt.read(str(file), "zoo-registry")


def pairs(words: tuple[str, ...]) -> set[str]:
    """Each flag with its value: their order means nothing."""
    return {*" ".join(words).replace(" --", "\n--").splitlines()}


def test_every_option_is_said_again(tmp_path: Path) -> None:
    assert pairs(read(tmp_path, HEAD + OPTIONS).options) == pairs(tuple(shlex.split(TYPED)))


def test_builds_without_isolation_stay_so(tmp_path: Path) -> None:
    found = read(tmp_path, f'{HEAD}[tool.options]\nbuild-isolation = "shared"\n')
    assert found.options == ("--no-build-isolation",)


def test_the_interpreter_and_the_bounds_are_kept_when_a_plugin_is_added_or_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "config"))
    read(
        tmp_path,
        HEAD
        + """python = "3.12"
constraints = [{ name = "numpy", specifier = "<3", marker = "sys_platform == 'linux'" }]
overrides = [{ name = "pillow", specifier = ">=11" }]
excludes = ["timm"]
build-constraint-dependencies = [{ name = "hatchling", specifier = ">1" }]
""",
    )
    one = in_use("zoo-acme", prefix=str(tmp_path), python="python")
    folder = tmp_path / "config"
    kept = (
        "uv tool install zoo-registry --python 3.12 "
        f"--constraints {folder}/uv-tool-constraints.txt "
        f"--overrides {folder}/uv-tool-overrides.txt --excludes {folder}/uv-tool-excludes.txt "
        f"--build-constraints {folder}/uv-tool-build-constraint-dependencies.txt"
    )
    assert line(one.install(["zoo-bolt"])) == f"{kept} --with zoo-acme --with zoo-bolt"
    assert line(one.remove(["zoo-acme"])) == kept
    texts = {file.name: file.read_text() for file in folder.iterdir()}
    assert texts == {
        "uv-tool-constraints.txt": "numpy<3 ; sys_platform == 'linux'\n",
        "uv-tool-overrides.txt": "pillow>=11\n",
        "uv-tool-excludes.txt": "timm\n",
        "uv-tool-build-constraint-dependencies.txt": "hatchling>1\n",
    }


@pytest.mark.parametrize(
    ("noted", "words"),
    [
        (
            'name = "a", extras = ["b", "c"], marker = "os_name == \'nt\'", specifier = ">=1"',
            ("--with", "a[b,c]>=1 ; os_name == 'nt'"),
        ),
        (
            'name = "a", git = "https://x.example/a?subdirectory=in&rev=v1#0123"',
            ("--with", "a @ git+https://x.example/a@v1#subdirectory=in"),
        ),
        ('name = "a", git = "file:///a?branch=b"', ("--with", "a @ git+file:///a@b")),
        ('name = "a", url = "https://x.example/a.zip"', ("--with", "a @ https://x.example/a.zip")),
        ('name = "a", editable = "/my a"', ("--with-editable", "/my a")),
    ],
)
def test_a_requirement_is_said_as_it_was(
    tmp_path: Path, noted: str, words: tuple[str, ...]
) -> None:
    assert read(tmp_path, f"[tool]\nrequirements = [{{ {noted} }}]\n").held == (("a", words),)


def test_programs_of_another_package_stay(tmp_path: Path) -> None:
    points = """entrypoints = [
    { name = "zoo", install-path = "/bin/zoo", from = "zoo-registry" },
    { name = "one", install-path = "/bin/one", from = "zoo-acme" },
    { name = "two", install-path = "/bin/two", from = "zoo-acme" },
]
"""
    words = ("--with", "zoo-acme", "--with-executables-from", "zoo-acme")
    assert read(tmp_path, HEAD + points).held == (("zoo-acme", words),)


@pytest.mark.parametrize("damage", ["", "[tool", "tool = 5", "[tool]\nrequirements = 5"])
def test_a_receipt_that_cannot_be_read_says_nothing_but_the_name(
    tmp_path: Path, damage: str
) -> None:
    assert read(tmp_path, damage) == receipt.Receipt(("zoo-registry",))
