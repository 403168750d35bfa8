"""`zoo plugins check`: the kit on the command line, and the card that it leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from zoo.cli.plugins import check as check_command
from zoo.testing import Check, Report, Result

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Zoo

PORTS = Check("ports", "heads/linear", kind="head")
GOOD = Report("zoo-heads", "0.1.0", "print", (PORTS,), (Result(PORTS, "passed", "", 0.125),))
BAD = replace(GOOD, results=(Result(PORTS, "failed", "it gives [N]\nand more", 0.125),))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.fixture
def asked(config: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, object]]:
    """What the kit is asked: (plugin, what is left out); it answers that heads are bad."""
    del config
    found: list[tuple[object, object]] = []

    def examine(plugin: str, *, without: object, **_: object) -> Report:
        found.append((plugin, without))
        return BAD if plugin == "zoo-heads" else GOOD

    monkeypatch.setattr(check_command, "examine", examine)
    return found


def test_a_plugin_that_keeps_the_contract_gets_a_card_that_the_table_shows(
    zoo: Zoo, config: Path
) -> None:
    code, out, _ = zoo("plugins", "check", "heads")
    assert code == 0
    assert out.startswith("check ")
    assert "ports" in out
    assert "zoo-heads 0.1.0 keeps the contract: " in out.splitlines()[-1]
    card = json.loads((config / "checked" / "zoo-heads.json").read_bytes())
    assert card["ok"]
    assert {"python", "torch", "zoo-registry"} <= {*card["versions"]}
    _, table, _ = zoo("plugins", "--json")
    shown = {one["distribution"]: one["checked"] for one in json.loads(table)}
    assert shown["zoo-heads"] == f"{card['counts']['passed']} checks"
    assert shown["zoo-losses"] == "not checked"


def test_a_fault_is_shown_and_ends_with_the_code_of_a_plugins_fault(
    zoo: Zoo, asked: list[object]
) -> None:
    code, out, err = zoo("plugins", "check", "zoo-heads")
    assert code == 70
    assert [line.split() for line in out.splitlines()[:2]] == [
        ["check", "of", "result", "seconds", "why"],
        ["ports", "heads/linear", "failed", "0.12", "it", "gives", "[N]"],
    ]
    assert "The contract is broken by zoo-heads." in err
    assert asked == [("zoo-heads", {})]


def test_json_holds_the_whole_report(zoo: Zoo, asked: list[object]) -> None:
    code, out, _ = zoo("plugins", "check", "zoo-heads", "--json")
    assert code == 70
    (record,) = json.loads(out)
    assert record["results"][0]["detail"] == "it gives [N]\nand more"
    assert record["counts"] == {"planned": 1, "failed": 1}
    assert asked


def test_without_a_name_every_installed_plugin_is_checked(
    zoo: Zoo, asked: list[tuple[str, object]]
) -> None:
    zoo("plugins", "check")
    assert {"zoo-heads", "zoo-losses", "zoo-timm"} <= {plugin for plugin, _ in asked}


def test_what_is_left_out_is_not_checked(zoo: Zoo, asked: list[tuple[str, object]]) -> None:
    _, _, err = zoo("plugins", "check", "-p", "no:zoo_heads", "-p", "no:hedas")
    names = [plugin for plugin, _ in asked]
    assert "zoo-losses" in names
    assert "zoo-heads" not in names
    assert "is disabled by -p no:zoo_heads, and is not checked." in err
    assert "no installed plugin is called hedas." in err


def test_without_plugins_none_is_checked(zoo: Zoo, asked: list[object]) -> None:
    code, out, err = zoo("--no-plugins", "plugins", "check")
    assert (code, out, asked) == (69, "", [])
    assert "Every installed plugin is disabled." in err
    assert err.endswith("Leave out --no-plugins.\n")


@pytest.mark.parametrize("plugin", ["heads", "./package"])
@pytest.mark.parametrize("said", ["--no-plugins", "-pno:heads"])
def test_what_is_left_out_is_refused_by_its_name_and_as_a_folder(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugin: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "pyproject.toml").write_text(
        '[project]\nname = "zoo-heads"\n[project.entry-points.zoo]\nheads = "zoo_heads"\n'
    )
    code, out, err = zoo(said, "plugins", "check", plugin)
    assert (code, out) == (69, "")
    assert "is disabled by" in err


def test_a_folder_is_checked_and_gets_no_card(zoo: Zoo, asked: list[object], config: Path) -> None:
    assert zoo("plugins", "check", "./somewhere")[0] == 0
    assert asked
    assert not (config / "checked").exists()


def test_what_is_left_out_wants_a_reason(zoo: Zoo, asked: list[object]) -> None:
    zoo("plugins", "check", "heads", "--without", "builds x a=1=too large")
    assert asked == [("heads", {"builds x a=1": "too large"})]
    code, _, err = zoo("plugins", "check", "heads", "--without", "ports")
    assert (code, "it wants CHECK=REASON" in err) == (2, True)


def test_what_specifies_a_backbone_is_given_by_its_name_for_one_plugin(
    zoo: Zoo, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def examine(_: str, **more: object) -> Report:
        given.append(more["given"])
        return GOOD

    monkeypatch.setattr(check_command, "examine", examine)
    assert zoo("plugins", "check", "hf", "--given", "hf/auto:model=./folder")[0] == 0
    assert given == [{"hf/auto": {"model": "./folder"}}]
    code, _, err = zoo("plugins", "check", "--given", "hf/auto:model=./folder")
    assert (code, "Name the plugin." in err) == (2, True)
    assert config.exists()
