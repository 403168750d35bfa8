"""What to type for each installer, told by what it left behind in a faked environment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from zoo import installer
from zoo.installer import Installer, in_use, line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: as uv 0.13 writes it
RECEIPT = """
[tool]
requirements = [
    { name = "zoo-registry", extras = ["standard"], specifier = ">=0.1" },
    { name = "zoo-acme" },
    { name = "zoo-bolt", specifier = ">1" },
    { name = "zoo-cove", directory = "/src/zoo cove" },
    { name = "zoo-dune", editable = "/src/zoo-dune" },
    { name = "zoo-elm", path = "/w/zoo_elm-1.0-py3-none-any.whl" },
    { name = "zoo-fir", git = "https://example.org/fir?rev=main" },
]
entrypoints = [ { name = "zoo", install-path = "/bin/zoo", from = "zoo-registry" } ]
"""
HELD = (
    "--with 'zoo-bolt>1' --with 'zoo-cove @ file:///src/zoo%20cove' --with-editable /src/zoo-dune "
    "--with 'zoo-elm @ file:///w/zoo_elm-1.0-py3-none-any.whl' "
    "--with 'zoo-fir @ git+https://example.org/fir@main'"
)
MAIN = "uv tool install 'zoo-registry[standard]>=0.1'"


def found(
    prefix: Path, by: str = "", environment: Mapping[str, str] | None = None, **others: str
) -> Installer:
    """The installer of a distribution whose file INSTALLER holds `by`."""
    files = {"zoo-acme": by} | others
    return in_use(
        "zoo-acme",
        prefix=str(prefix),
        python=f"{prefix}/bin/python",
        environment=environment or {},
        read=lambda name: files.get(name, ""),
    )


def told(one: Installer) -> list[str]:
    """What to type to add, upgrade and remove zoo-acme."""
    return [
        line(one.install(["zoo-acme"])),
        line(one.upgrade("zoo-acme")),
        line(one.remove(["zoo-acme"])),
    ]


def test_uv_tool_is_told_the_whole_set(tmp_path: Path) -> None:
    (tmp_path / "uv-receipt.toml").write_text(RECEIPT)
    one = found(tmp_path, by="uv")
    assert one.tool == "uv tool"
    assert told(one) == [
        f"{MAIN} --with zoo-acme {HELD}",
        "uv tool upgrade zoo-registry",
        f"{MAIN} {HELD}",
    ]


def test_uv_tool_adds_beside_what_is_there_and_replaces_a_bound(tmp_path: Path) -> None:
    (tmp_path / "uv-receipt.toml").write_text(
        '[tool]\nrequirements = [{ name = "zoo-registry" }, { name = "zoo-bolt" }]\n'
    )
    wanted = found(tmp_path).install(["zoo-bolt>=2", "./zoo-acme"])
    assert line(wanted) == "uv tool install zoo-registry --with 'zoo-bolt>=2' --with ./zoo-acme"


def test_a_file_of_requirements_is_installed_by_each(tmp_path: Path) -> None:
    tools = {
        Installer("uv"): "uv pip install -r plugins.txt",
        Installer("pip"): "python -m pip install -r plugins.txt",
        Installer("pipx", ("zoo-registry",)): "pipx inject zoo-registry -r plugins.txt",
        Installer("conda"): "conda install --file plugins.txt",
    }
    for one, told_line in tools.items():
        assert line(one.install_file("plugins.txt")) == told_line
    (tmp_path / "uv-receipt.toml").write_text(RECEIPT)
    one = found(tmp_path)
    assert line(one.install_file("x.txt")).endswith(f"{HELD} --with-requirements x.txt")


def test_a_folder_to_be_worked_on_comes_with_its_tester_by_each(tmp_path: Path) -> None:
    python = ("/e/bin/python",)
    tools = {
        Installer("uv"): "uv pip install --editable './my acme' 'pytest>=9'",
        Installer("pip"): "python -m pip install --editable './my acme' 'pytest>=9'",
        Installer("conda", ("--prefix", "/e"), python=python): (
            "/e/bin/python -m pip install --editable './my acme' 'pytest>=9'"
        ),
        Installer("pipx", ("zoo-registry",)): (
            "pipx inject zoo-registry --editable './my acme'\npipx inject zoo-registry 'pytest>=9'"
        ),
    }
    (tmp_path / "uv-receipt.toml").write_text(RECEIPT)
    tools[found(tmp_path)] = (
        f"{MAIN} --with zoo-acme {HELD} --with-editable './my acme' --with 'pytest>=9'"
    )
    for one, told_lines in tools.items():
        typed = [line(each) for each in one.develop("./my acme", "pytest>=9")]
        assert "\n".join(typed) == told_lines
    assert found(tmp_path).python == (f"{tmp_path}/bin/python",)


def test_uv_tool_knows_a_name_however_it_is_spelt(tmp_path: Path) -> None:
    (tmp_path / "uv-receipt.toml").write_text(
        '[tool]\nrequirements = [{ name = "zoo-registry" }, { name = "zoo-bolt" }]\n'
    )
    wanted = found(tmp_path).install(["Zoo_Bolt>=2"])
    assert line(wanted) == "uv tool install zoo-registry --with 'Zoo_Bolt>=2'"


def test_uv_tool_with_zoo_itself_editable(tmp_path: Path) -> None:
    (tmp_path / "uv-receipt.toml").write_text(
        '[tool]\nrequirements = [{ name = "zoo-registry", editable = "/src/zoo" }]\n'
    )
    wanted = found(tmp_path).install(["zoo-acme"])
    assert line(wanted) == "uv tool install --editable /src/zoo --with zoo-acme"


@pytest.mark.parametrize("damage", ["", "[tool", "[tool]\n"])
def test_a_receipt_that_says_nothing_is_still_uv_tools(tmp_path: Path, damage: str) -> None:
    (tmp_path / "uv-receipt.toml").write_text(damage)
    assert told(found(tmp_path))[0] == "uv tool install zoo-registry --with zoo-acme"


def test_pipx_injects_and_uninjects(tmp_path: Path) -> None:
    noted = {"main_package": {"package": "zoo-registry"}, "injected_packages": ["zoo-acme"]}
    (tmp_path / "pipx_metadata.json").write_text(json.dumps(noted))
    one = found(tmp_path, by="pip")
    assert one.tool == "pipx"
    assert told(one) == [
        "pipx inject zoo-registry zoo-acme",
        "pipx runpip zoo-registry install --upgrade zoo-acme",
        "pipx uninject zoo-registry zoo-acme",
    ]
    assert line(one.upgrade("zoo-registry")) == "pipx upgrade zoo-registry"


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}"])
def test_a_damaged_note_of_pipx_is_still_pipxs(tmp_path: Path, damage: str) -> None:
    (tmp_path / "pipx_metadata.json").write_text(damage)
    assert told(found(tmp_path))[0] == "pipx inject zoo-registry zoo-acme"


def test_uv_in_the_active_environment_needs_no_more_words(tmp_path: Path) -> None:
    assert told(found(tmp_path, by="uv\n", environment={"VIRTUAL_ENV": str(tmp_path)})) == [
        "uv pip install zoo-acme",
        "uv pip install --upgrade zoo-acme",
        "uv pip uninstall zoo-acme",
    ]


@pytest.mark.parametrize("active", ["", "/another/environment"])
def test_uv_elsewhere_is_told_which_environment(tmp_path: Path, active: str) -> None:
    python = f"{tmp_path}/bin/python"
    assert told(found(tmp_path, by="uv", environment={"VIRTUAL_ENV": active})) == [
        f"uv pip install --python {python} zoo-acme",
        f"uv pip install --python {python} --upgrade zoo-acme",
        f"uv pip uninstall --python {python} zoo-acme",
    ]


def test_pip_asks_nothing_and_is_the_environments_own(tmp_path: Path) -> None:
    assert told(found(tmp_path, by="pip")) == [
        f"{tmp_path}/bin/python -m pip install zoo-acme",
        f"{tmp_path}/bin/python -m pip install --upgrade zoo-acme",
        f"{tmp_path}/bin/python -m pip uninstall --yes zoo-acme",
    ]
    active = found(tmp_path, by="pip", environment={"VIRTUAL_ENV": str(tmp_path)})
    assert told(active)[0] == "python -m pip install zoo-acme"


def test_conda_has_what_conda_installed_and_pip_the_rest(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    assert told(found(tmp_path, by="conda")) == [
        f"conda install --prefix {tmp_path} zoo-acme",
        f"conda update --prefix {tmp_path} zoo-acme",
        f"conda remove --prefix {tmp_path} zoo-acme",
    ]
    assert found(tmp_path, by="pip").tool == "pip"


@pytest.mark.parametrize(
    ("by", "host", "made_by", "tool"),
    [
        ("", "uv", "", "uv"),  # what is not here yet comes as zoo itself came
        ("", "pip", "uv", "pip"),
        ("", "", "uv", "uv"),
        ("", "", "", "pip"),
        ("poetry 2.0", "", "", "pip"),
    ],
)
def test_who_is_asked_where_the_file_is_missing_or_unknown(
    tmp_path: Path, by: str, host: str, made_by: str, tool: str
) -> None:
    (tmp_path / "pyvenv.cfg").write_text(f"home = /usr/bin\n{made_by} = 0.13\n")
    assert found(tmp_path, by=by, **{"zoo-registry": host}).tool == tool


def test_this_environment_has_an_installer() -> None:
    assert installer.to_install("zoo-acme").split()[-1] == "zoo-acme"
    assert installer.to_remove("zoo-heads", "zoo-losses").split()[-2:] == [
        "zoo-heads",
        "zoo-losses",
    ]
